//! A task of a client: what it does, and where its acquire or its lease is.

/// A task that acquires again and again.
// Independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    /// Acquires begun.
    pub(crate) begun: u8,
    /// What has become of the last one.
    pub(crate) phase: Phase,
    pub(crate) waits: bool,
    /// A command of it went unanswered on a connection that broke.
    pub(crate) stale: bool,
    /// It was told its place in the queue.
    pub(crate) placed: bool,
    /// Nobody polls it any more; it has not been cancelled either.
    pub(crate) stalled: bool,
    /// What has become of the last look that may cut the claim window.
    pub(crate) cut: Cut,
    /// Ticks since it sent the wait that was answered last, while that is recent enough for a grant to begin its lease.
    pub(crate) answered: Option<u8>,
}

/// A look of a waiter in the queue, which may turn out to be its claim, and then cuts the claim window down to a shorter TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Cut {
    /// There is none under way.
    #[default]
    No,
    /// It is unanswered.
    Sent,
    /// It was left unanswered on a connection that broke: it may still cut what a later command sets.
    Left,
}

/// Where an acquire or its lease is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nowhere: not begun, or over.
    #[default]
    Idle,
    /// One command is unanswered.
    Asking {
        /// Which.
        ask: Ask,
        /// Ticks since it was sent.
        age: u8,
        /// News came meanwhile: ask again after the answer.
        news: bool,
        /// Seeded bugs: the token that a grant brought meanwhile.
        granted: u8,
    },
    /// In the queue; it looks by itself after so many ticks, or not at all.
    Sleeping(Option<u8>),
    /// A lease, live until `left` ticks have passed.
    Holding {
        /// Its token.
        token: u8,
        /// Ticks to its deadline.
        left: u8,
        /// What renewals set, in ticks.
        ttl: u8,
        /// A renewal or extension is unanswered.
        renewal: Option<Renewal>,
        /// A renewal that counts as failed, and may still be answered.
        late: Option<Renewal>,
        /// The server has it for longer than its holder wants: the next renewal cuts it down.
        longer: bool,
        /// What may cut the lease to so many ticks was left unanswered, and may still be carried out.
        cap: Option<u8>,
        /// A renewal was not answered.
        unsure: bool,
    },
    /// Given back; the release is unanswered.
    Releasing,
}

/// A renewal on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Renewal {
    /// Ticks since it was sent.
    pub(crate) age: u8,
    pub(crate) ttl: u8,
    /// What the deadline will count.
    pub(crate) counts: u8,
    /// It may shorten what the server has.
    pub(crate) cuts: bool,
}

/// One way to ask for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Take it if it is free.
    Take,
    /// The same, or where a take cannot be used, by wait.
    Retake,
    /// Claim it, take it, or queue for it.
    Queue,
}
