//! What a store is asked for, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::{BoxFuture, Failure};
use crate::claim::Claim;
use crate::clock::Moment;
use crate::lock_info::LockInfo;
use crate::name::LockId;

/// One way to ask for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Take the name if it is free; nothing was asked for this owner before.
    Take,
    /// Take the name if it is free or already the owner's: the retry of a take whose reply was lost.
    Retake,
    /// Claim the name, take it, or queue for it.
    Queue(Queueing),
}

/// How to queue for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queueing {
    /// The place already held in the queue.
    pub(crate) place: Option<u64>,
    /// This is the first claim of a grant, or a look that may turn out to be: it may cut what is left of the claim window down to a shorter TTL.
    pub(crate) may_cut: bool,
}

/// What came of asking for a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Acquired, for the full TTL, counted from before the command that set it was sent.
    Acquired {
        token: u64,
        sent: Moment,
        /// See [`Queued::lost_place`].
        lost_place: bool,
    },
    /// Someone else holds the name.
    Held(Queued),
}

impl Asked {
    /// Acquired by who named no place in the queue.
    pub(crate) fn acquired(token: u64, sent: Moment) -> Self {
        Self::Acquired {
            token,
            sent,
            lost_place: false,
        }
    }
}

/// Where a waiter stands. All zero for an owner that did not queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued {
    /// When the holder's time ends, if it has an end.
    pub(crate) expires_in: Option<Duration>,
    /// Arrival time in the queue; to be named when asking again.
    pub(crate) place: u64,
    /// Whether this waiter is the next.
    pub(crate) head: bool,
    /// Whether the holder is of another program, which tells nobody when it gives the lock back.
    pub(crate) is_holder_foreign: bool,
    /// How many wait, this one included.
    pub(crate) waiters: u64,
    /// The token counter at the time of the answer: a grant made later has a larger token.
    pub(crate) counted: u64,
    /// The place that was named was not in the queue any more; others may have lost theirs with it.
    pub(crate) lost_place: bool,
    /// No news comes of this place: to be asked again after so long.
    pub(crate) look_again: Option<Duration>,
}

/// What came of a renewal or a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// The name was the owner's.
    Mine,
    /// The name is the owner's, and for longer than a renewal asked for: left so.
    MineForLonger,
    /// Nobody holds the name.
    Nobody,
    /// Someone else holds the name.
    Other,
}

impl Ownership {
    pub(crate) fn is_mine(self) -> bool {
        matches!(self, Self::Mine | Self::MineForLonger)
    }
}

/// Whom a release is for.
#[derive(Clone, Debug)]
pub(crate) enum Releaser {
    /// A lease or a waiter of this client: leaves the queue too.
    Own(Arc<Claim>),
    /// A lease of this client, which keeps the lock for so long, and is never renewed again.
    Later(Arc<Claim>, Duration),
    /// Owners of the lock named by hand, at least one, which need not be text: no queue entry is touched.
    ByHand(LockId, Owners),
}

/// Owners as a store has them.
type Owners = Arc<[Arc<[u8]>]>;

impl Releaser {
    pub(crate) fn lock(&self) -> &LockId {
        match self {
            Self::Own(claim) | Self::Later(claim, _) => &claim.lock,
            Self::ByHand(lock, _) => lock,
        }
    }
}

/// One lease to extend.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) claim: Arc<Claim>,
    pub(crate) ttl: Duration,
    /// Where more is left than that it is cut down to it.
    pub(crate) may_shorten: bool,
}

/// What came of renewals, in order.
pub(crate) type Renewals = Vec<Result<Ownership, Failure>>;

/// What came of many renewals.
#[derive(Default)]
pub(crate) struct Renewed {
    /// Of each of them, in order.
    pub(crate) results: Renewals,
    /// What is known later of those that went unanswered.
    pub(crate) late: Vec<LateRenewals>,
}

/// Renewals that had no answer in time, and may have one later.
pub(crate) struct LateRenewals {
    /// Their numbers in the list of all.
    pub(crate) of: Vec<usize>,
    /// What is known of them then, in that order.
    pub(crate) results: BoxFuture<'static, Option<Renewals>>,
}

/// A page of a listing: the locks found, and where to go on.
pub(crate) struct Page {
    pub(crate) locks: Vec<LockInfo>,
    pub(crate) next: Option<Cursor>,
}

/// How far a listing has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    /// Where to go on; nothing at the beginning.
    pub(crate) at: u64,
    /// The servers that are still to be asked, the one to go on with last; `None` before the first was asked.
    pub(crate) servers: Option<Vec<String>>,
    /// How often locks had gone from one server to another when the first of these was asked.
    pub(crate) moves: u64,
    /// How often it was begun anew since locks went to servers that had been asked already.
    pub(crate) passes: u32,
}
