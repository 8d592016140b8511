//! What is done to a store, one step after the other, and which steps are to be tried.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::Reference;
use super::vocabulary::{Asker, Id, Millis, Mode, NAMES, SHORT};

/// How many clients ask; one more, the operator's, looks and does what is done by hand.
pub(super) const CLIENTS: usize = 3;
/// Far enough from each other that which is meant can be told.
const TTLS: [Millis; 3] = [100_000, 200_000, 300_000];

/// A way to ask for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// If it is free: the first that is asked.
    Take,
    /// The repeat of a take.
    Retake,
    /// Now or in line; also its repeat.
    Wait,
    /// The place in line is named.
    Look,
    /// The same, as the first claim of a grant.
    Claim,
}

impl By {
    pub(super) fn queues(self) -> bool {
        matches!(self, Self::Wait | Self::Look | Self::Claim)
    }

    pub(super) fn names_place(self) -> bool {
        matches!(self, Self::Look | Self::Claim)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ask(Id, By),
    /// Gives back, or gives up.
    Release(Id),
    /// Gives back after so long.
    Keep(Id, Millis),
    /// Has it for so long from now on; `true`: also if that is shorter.
    Renew(Id, Millis, bool),
    ReleaseByHand(Id),
    /// Ends all leases of a name.
    Force(usize),
    /// A client's process ends.
    Leave(usize),
}

impl Step {
    /// Whose step it is.
    pub(super) fn asker(&self) -> Option<Id> {
        match *self {
            Self::Ask(id, _)
            | Self::Release(id)
            | Self::Keep(id, _)
            | Self::Renew(id, ..)
            | Self::ReleaseByHand(id) => Some(id),
            Self::Force(_) | Self::Leave(_) => None,
        }
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Ask(id, By::Take) => write!(f, "{id} takes"),
            Self::Ask(id, By::Retake) => write!(f, "{id} takes once more"),
            Self::Ask(id, By::Wait) => write!(f, "{id} waits"),
            Self::Ask(id, By::Look) => write!(f, "{id} looks, with its place"),
            Self::Ask(id, By::Claim) => write!(f, "{id} claims, with its place"),
            Self::Release(id) => write!(f, "{id} releases"),
            Self::Keep(id, ttl) => write!(f, "{id} releases in {ttl} ms"),
            Self::Renew(id, ttl, false) => write!(f, "{id} renews for {ttl} ms"),
            Self::Renew(id, ttl, true) => write!(f, "{id} has just {ttl} ms"),
            Self::ReleaseByHand(id) => write!(f, "{id} is released by hand"),
            Self::Force(name) => write!(f, "{} is released by force", NAMES[name]),
            Self::Leave(client) => write!(f, "client {client} is gone"),
        }
    }
}

/// How many ask.
const ASKERS: usize = 8;

/// Who asks, and what is done then; what [cannot be done](is_possible) when its turn comes is left out.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) askers: Vec<Asker>,
    pub(super) steps: Vec<Step>,
}

pub(super) fn sequence() -> impl Strategy<Value = Sequence> {
    let sequence = (askers(), vec(step(), 1..80));
    sequence.prop_map(|(askers, steps)| Sequence { askers, steps })
}

/// Most ask for the first name.
fn askers() -> impl Strategy<Value = Vec<Asker>> {
    let modes = select(vec![
        &[Mode::Alone][..],
        &[
            Mode::Alone,
            Mode::Shared,
            Mode::Shared,
            Mode::Permits(2),
            Mode::Permits(3),
        ],
    ]);
    let asker = |modes: &'static [Mode]| {
        let ttl = select(vec![TTLS[0], TTLS[1], TTLS[2], SHORT]);
        let name = select(vec![0, 0, 0, 1]);
        let parts = (0..CLIENTS, name, select(modes), ttl);
        parts.prop_map(|(client, name, mode, ttl)| Asker {
            client,
            name,
            mode,
            ttl,
        })
    };
    modes.prop_flat_map(move |modes| vec(asker(modes), ASKERS))
}

fn step() -> impl Strategy<Value = Step> {
    let ttl = || select(vec![TTLS[0], TTLS[2], SHORT]);
    let renewal = (0..ASKERS, ttl(), any::<bool>());
    prop_oneof![
        6 => (0..ASKERS).prop_map(|id| Step::Ask(id, By::Take)),
        2 => (0..ASKERS).prop_map(|id| Step::Ask(id, By::Retake)),
        10 => (0..ASKERS).prop_map(|id| Step::Ask(id, By::Wait)),
        5 => (0..ASKERS).prop_map(|id| Step::Ask(id, By::Look)),
        5 => (0..ASKERS).prop_map(|id| Step::Ask(id, By::Claim)),
        9 => (0..ASKERS).prop_map(Step::Release),
        3 => (0..ASKERS, ttl()).prop_map(|(id, ttl)| Step::Keep(id, ttl)),
        6 => renewal.prop_map(|(id, ttl, may_shorten)| Step::Renew(id, ttl, may_shorten)),
        2 => (0..ASKERS).prop_map(Step::ReleaseByHand),
        1 => (0..NAMES.len()).prop_map(Step::Force),
        1 => (0..CLIENTS).prop_map(Step::Leave),
    ]
}

/// Whether a client may do so now.
pub(super) fn is_possible(step: &Step, reference: &Reference) -> bool {
    match *step {
        Step::Ask(id, by) => {
            reference.is_alive(id)
                && match by {
                    By::Take => !reference.has_place(id) && reference.holding(id).is_none(),
                    By::Retake => !reference.has_place(id),
                    By::Wait => true,
                    By::Look | By::Claim => reference.has_place(id),
                }
        }
        Step::Release(id) | Step::Keep(id, _) => reference.is_alive(id),
        Step::Renew(..) | Step::ReleaseByHand(_) | Step::Force(_) => true,
        // One that is gone and waits for a name with others may stand in the way of who is behind it for a while, and for how
        // long differs: until somebody looks.
        Step::Leave(_) => {
            let askers = &mut reference.askers.iter();
            (0..CLIENTS).all(|client| reference.is_there(client))
                && askers.all(|asker| asker.mode == Mode::Alone)
        }
    }
}
