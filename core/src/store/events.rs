//! What a store tells its client without being asked, and what it needs of the client.

use std::sync::Arc;
use std::time::Duration;

use super::BoxFuture;
use crate::name::LockId;

/// News for waiters and holders.
#[derive(Debug)]
pub(crate) enum Event {
    /// The name was handed to this owner, who must claim it, or may begin the lease in `grant`.
    Granted {
        lock: LockId,
        owner: String,
        grant: Option<Grant>,
    },
    /// This owner is the next in line; the holder's time ends in `expires_in`.
    Next {
        owner: String,
        expires_in: Option<Duration>,
    },
    /// Someone else has changed the lock, or may have; where none is named, every lock.
    Touched { lock: Option<LockId> },
    /// News may have been lost: every waiter must ask again.
    Reset {
        /// What was sent before goes on to nobody: whatever is held is to be renewed, too.
        is_new: bool,
    },
}

/// A lease that a hand-over set in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: u64,
    /// How long the store keeps the lease, from the hand-over on.
    pub(crate) window: Duration,
}

/// Receives [`Event`]s; called from the store's own task, and must not block.
pub(crate) type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Runs a task of the client on its runtime. Where there is none any more, the task is dropped.
pub(crate) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// What a store needs of its client.
pub(crate) struct Host {
    pub(crate) listener: Listener,
    pub(crate) spawn: Spawn,
}
