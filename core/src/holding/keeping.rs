//! What the keeper does with a lease: renews it when that is due, and notices its end.

use std::time::Duration;

use super::{Holding, Next, Phase, deadline, reason};
use crate::clock::Moment;
use crate::store::{Ownership, Renewal};

impl Holding {
    /// The command that extends the lease in the store to `ttl`.
    pub(crate) fn renewal(&self, ttl: Duration) -> Renewal {
        Renewal {
            lock: self.lock.clone(),
            owner: self.owner.clone(),
            ttl,
        }
    }

    /// When the keeper has to look at a new lease for the first time.
    pub(crate) fn first_due(&self) -> Moment {
        self.lock().due(self.renew, Moment::now())
    }

    /// The time has come at which the keeper was to look at the lease.
    pub(crate) fn on_due(&self, now: Moment) -> Next {
        let mut state = self.lock();
        let (_, told) = state.observe();
        let next = if state.phase != Phase::Live || state.detached {
            Next::Nothing
        } else if !self.renew || state.last {
            Next::At(state.deadline)
        } else if state.busy {
            // An extension is under way: look again when it is likely to be over.
            Next::At((now + state.ttl / 20).min(state.deadline))
        } else {
            let ttl = self.bounded(state.ttl, now);
            if deadline(now, ttl) <= state.deadline {
                // `max_hold` leaves nothing to gain.
                state.last = true;
                Next::At(state.deadline)
            } else {
                state.busy = true;
                let term = state.window.unwrap_or(state.ttl).min(ttl);
                Next::Renew { ttl, term }
            }
        };
        drop(state);
        self.tell(told);
        next
    }

    /// A TTL cut to where `max_hold` ends.
    pub(super) fn bounded(&self, ttl: Duration, now: Moment) -> Duration {
        match self.hold_until {
            Some(end) => ttl.min(crate::options::floor(end.since(now))),
            None => ttl,
        }
    }

    /// The renewal for `ttl` sent at `sent` came to this; `None` is a failure.
    pub(crate) fn on_renewed(
        &self,
        sent: Moment,
        ttl: Duration,
        outcome: Option<Ownership>,
    ) -> Next {
        let now = Moment::now();
        let mut state = self.lock();
        state.busy = false;
        // An answer that comes after the deadline revives nothing: someone else may have had the lock meanwhile.
        let (_, told) = state.observe();
        if told.is_some() {
            state.unsure = true;
        }
        let next = match outcome {
            _ if state.phase != Phase::Live || state.detached => Next::Nothing,
            Some(Ownership::Mine) => {
                state.extended(sent, ttl, self.hold_until);
                Next::At(state.due(self.renew, now))
            }
            Some(ownership) => {
                let told = state.lose(reason(ownership));
                drop(state);
                self.tell(told);
                self.changed.notify_waiters();
                return Next::Nothing;
            }
            None => {
                state.unsure = true;
                let pause = (state.window.unwrap_or(state.ttl) / 10)
                    .clamp(Duration::from_millis(50), Duration::from_secs(1));
                Next::At((now + pause).min(state.deadline))
            }
        };
        drop(state);
        self.tell(told);
        self.changed.notify_waiters();
        next
    }
}
