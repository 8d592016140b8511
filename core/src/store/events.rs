//! What a store tells its client without being asked, and what it needs of the client.

use std::fmt;
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
    /// Someone else has changed the lock, or may have.
    Touched { lock: LockId },
    /// Every lock in scope is gone.
    Flushed { scope: Scope },
    /// Another server has taken the place of the one that had the locks in scope, and may lack what that one did last.
    Succeeded { scope: Scope },
    /// News may have been lost: every waiter for a lock in scope must ask again.
    Reset {
        scope: Scope,
        /// What was sent before goes on to nobody: whatever is held in scope is to be renewed, too.
        is_new: bool,
    },
}

/// The locks that an event is about.
#[derive(Clone)]
pub(crate) struct Scope(Arc<dyn Fn(&LockId) -> bool + Send + Sync>);

impl Scope {
    /// Every lock.
    pub(crate) fn all() -> Self {
        Self::of(|_| true)
    }

    /// The locks for which `holds` says so; it must not block.
    pub(crate) fn of(holds: impl Fn(&LockId) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    pub(crate) fn holds(&self, lock: &LockId) -> bool {
        (self.0)(lock)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
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
