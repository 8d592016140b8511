//! What the loop's thread and the runtime's share of a line: the connection, and what is under way on it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::acquire::Attempt;
use crate::clock::Moment;
use crate::releasing::Turn;
use crate::shared::Inner;
use crate::store::{Ask, Failure, LineDone, LineStore, Outside};

/// Looked at this many times within the command time-out.
const CHECKS: u32 = 4;

pub(super) enum Pending {
    Acquire {
        attempt: Box<Attempt>,
        once: bool,
    },
    /// Of a grant.
    Claim {
        attempt: Box<Attempt>,
        /// Dropped when it is over.
        _under_way: Option<oneshot::Sender<()>>,
    },
    Release(Turn),
}

/// Whether somebody still waits for the operation of this number.
pub(super) type Wanted = Arc<dyn Fn(u64) -> bool + Send + Sync>;

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) watch: Arc<Watch>,
}

pub(super) struct State {
    pub(super) client: Weak<Inner>,
    pub(super) store: Box<dyn LineStore>,
    pub(super) pending: HashMap<u64, Pending>,
    /// The ends of short waits.
    pub(super) limits: BTreeSet<(Instant, u64)>,
    pub(super) broken: bool,
}

/// What the watchdog looks at: since when the oldest command waits for its answer, in ms since boot; 0 is none.
pub(super) struct Watch {
    pub(super) waiting_since: AtomicU64,
    pub(super) outside: Box<dyn Outside>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn flush(&self, state: &mut State) -> bool {
        if state.broken {
            return true;
        }
        state.store.flush().unwrap_or_else(|_| {
            // Reading tells: it ends what is under way.
            self.watch.outside.end();
            true
        })
    }

    /// Sends the claim of a grant, from the runtime's thread.
    pub(super) fn claim(&self, id: u64, attempt: Box<Attempt>, wanted: &Wanted) -> Claimed {
        let mut state = self.lock();
        if state.broken {
            return Claimed::Ended(attempt);
        }
        // Asked with the lock held: whoever gives it up afterwards finds it here.
        if !wanted(id) {
            return Claimed::Unwanted;
        }
        let (lock, owner, ttl, ask) = attempt.claim();
        state.store.ask(id, lock, owner, ttl, ask);
        let (under_way, limit) = match attempt.deadline() {
            Some(deadline) => {
                let (under_way, over) = oneshot::channel();
                (Some(under_way), Some((deadline, over)))
            }
            None => (None, None),
        };
        let claim = Pending::Claim {
            attempt,
            _under_way: under_way,
        };
        state.pending.insert(id, claim);
        self.note(&state);
        // What cannot be written yet goes with what the loop writes next, at the latest when a reply comes.
        self.flush(&mut state);
        Claimed::Sent(limit)
    }

    /// A claim that has no answer yet; the answer that comes later is nobody's.
    pub(super) fn take_back(&self, id: u64) -> Option<Box<Attempt>> {
        let mut state = self.lock();
        match state.pending.remove(&id)? {
            Pending::Claim { attempt, .. } => Some(attempt),
            other => {
                state.pending.insert(id, other);
                None
            }
        }
    }

    /// Tells the watchdog.
    pub(super) fn note(&self, state: &State) {
        let since = match state.store.oldest() {
            Some(oldest) if !state.broken => oldest.millis().max(1),
            _ => 0,
        };
        self.watch.waiting_since.store(since, Ordering::Relaxed);
    }
}

/// What became of a claim.
pub(super) enum Claimed {
    /// With when it is to be over, and what tells that it is, where the wait has an end.
    Sent(Option<(Instant, oneshot::Receiver<()>)>),
    /// Nobody waits for it any more: it is being undone.
    Unwanted,
    /// There is no line any more.
    Ended(Box<Attempt>),
}

impl State {
    pub(super) fn send_attempt(&mut self, id: u64, mut attempt: Box<Attempt>, once: bool) {
        let (lock, owner, ttl) = attempt.first();
        self.store.ask(id, lock, owner, ttl, Ask::Take);
        self.pending.insert(id, Pending::Acquire { attempt, once });
    }

    /// All that is under way, in the order in which it was begun, as failed.
    pub(super) fn abandon(&mut self, failure: &Failure) -> Vec<(u64, Pending, LineDone)> {
        let mut rest: Vec<_> = self.pending.drain().collect();
        rest.sort_unstable_by_key(|(id, _)| *id);
        rest.into_iter()
            .map(|(id, pending)| {
                let ended = match pending {
                    Pending::Release(_) => LineDone::Released(Err(failure.clone())),
                    _ => LineDone::Asked(Err(failure.clone())),
                };
                (id, pending, ended)
            })
            .collect()
    }
}

/// Ends the connection of a line whose oldest command has had no answer for the command time-out.
pub(super) async fn guard(watch: Weak<Watch>, timeout: Duration) {
    loop {
        tokio::time::sleep(timeout / CHECKS).await;
        let Some(watch) = watch.upgrade() else {
            return;
        };
        let since = watch.waiting_since.load(Ordering::Relaxed);
        let limit = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if since != 0 && Moment::now().millis().saturating_sub(since) >= limit {
            watch.outside.end();
            return;
        }
    }
}
