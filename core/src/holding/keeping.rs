//! What the keeper does with a lease: renews it when that is due, and notices its end.

use std::time::Duration;

use super::{Holding, Next, Phase, deadline, reason};
use crate::clock::Moment;
use crate::store::{Ownership, Renewal};

impl Holding {
    /// What extends it in the store.
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

    /// The keeper's time has come.
    pub(crate) fn on_due(&self, now: Moment) -> Next {
        let mut inner = self.lock();
        let (_, told) = inner.observe();
        let next = if inner.phase != Phase::Live || inner.detached {
            Next::Nothing
        } else if !self.renew || inner.last {
            Next::At(inner.deadline)
        } else if inner.busy {
            // An extension is under way: look again when it is likely to be over.
            Next::At((now + inner.ttl / 20).min(inner.deadline))
        } else {
            let ttl = self.bounded(inner.ttl, now);
            if deadline(now, ttl) <= inner.deadline {
                // `max_hold` leaves nothing to gain.
                inner.last = true;
                Next::At(inner.deadline)
            } else {
                inner.busy = true;
                let term = inner.window.unwrap_or(inner.ttl).min(ttl);
                Next::Renew { ttl, term }
            }
        };
        drop(inner);
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
        let mut inner = self.lock();
        inner.busy = false;
        // An answer that comes after the deadline revives nothing: someone else may have had the lock meanwhile.
        let (_, told) = inner.observe();
        if told.is_some() {
            inner.unsure = true;
        }
        let next = match outcome {
            _ if inner.phase != Phase::Live || inner.detached => Next::Nothing,
            Some(Ownership::Mine) => {
                inner.extended(sent, ttl, self.hold_until);
                Next::At(inner.due(self.renew, now))
            }
            Some(ownership) => {
                let told = inner.lose(reason(ownership));
                drop(inner);
                self.tell(told);
                self.changed.notify_waiters();
                return Next::Nothing;
            }
            None => {
                inner.unsure = true;
                let pause = (inner.window.unwrap_or(inner.ttl) / 10)
                    .clamp(Duration::from_millis(50), Duration::from_secs(1));
                Next::At((now + pause).min(inner.deadline))
            }
        };
        drop(inner);
        self.tell(told);
        self.changed.notify_waiters();
        next
    }
}
