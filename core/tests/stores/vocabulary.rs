//! Who asks for what, what came of it, and in what stores may differ.

use std::ops::RangeInclusive;

/// In ms.
pub(super) type Millis = u64;
/// The number of an asker.
pub(super) type Id = usize;

/// A lease of so long is over before the next step.
pub(super) const SHORT: Millis = 1;
/// How long nothing is done then.
pub(super) const PAUSE: Millis = 5;
/// The names that there are.
pub(super) const NAMES: [&str; 2] = ["a", "b"];

/// Beside how many others one holds a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Alone,
    Shared,
    /// So many at most, itself included.
    Permits(u32),
}

/// One that asks for a name, again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) client: usize,
    /// Its number in [`NAMES`].
    pub(super) name: usize,
    pub(super) mode: Mode,
    pub(super) ttl: Millis,
}

/// In what stores may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Server,
    Embedded,
}

impl Rules {
    /// Whoever takes a name goes behind those who wait. Elsewhere it gets in before them where the name is free, since a lease
    /// ran out, and its client has not met a holder of the name yet.
    pub(super) fn takes_see_the_queue(self) -> bool {
        self == Self::Embedded
    }

    /// Who asks for what it holds has it for its TTL from then on. Elsewhere for no less than it had, but for the first claim:
    /// there an old command may be carried out late.
    pub(super) fn claims_set_the_time(self) -> bool {
        self == Self::Embedded
    }

    /// Who asks again is told that its place is not there any more.
    pub(super) fn tells_of_lost_places(self) -> bool {
        self == Self::Server
    }

    /// Who breaks a lock that others share meets perhaps also holders whose leases have ended, which changes nothing.
    pub(super) fn meets_ended_holders(self) -> bool {
        self == Self::Server
    }
}

/// Whose a name was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    Mine,
    MineForLonger,
    Nobodys,
    Others,
}

/// What came of a step.
#[derive(Clone, Debug, Default)]
pub(super) enum Outcome {
    #[default]
    Nothing,
    Acquired {
        lost_place: bool,
    },
    /// Held by another, and not queued.
    Held,
    Waits {
        /// `None`: all who are before it have gone, which the store may know or not.
        is_next: Option<bool>,
        /// What the next in line has to watch.
        left: Millis,
        /// Those whose clients have gone may or may not be counted.
        waiters: RangeInclusive<u64>,
        lost_place: bool,
    },
    Owned(Owned),
    /// Who held the name.
    Forced(Vec<Id>),
}

/// All that a step did.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    pub(super) outcome: Outcome,
    /// Who was given the name, in order; the one that asked among them.
    pub(super) admitted: Vec<Id>,
    /// A lease ends sooner now, of which nobody was told.
    pub(super) is_sooner: bool,
    /// A lease ended after it.
    pub(super) pauses: bool,
}
