//! What the keeper does with a lease: renews it when that is due, and notices its end.

use std::time::Duration;

use super::{Holding, Next, PAUSE_PART, Phase, deadline, reason};
use crate::clock::Moment;
use crate::seeded::{Bug, is_seeded};
use crate::store::{Ownership, Renewal};

impl Holding {
    /// The command that extends the lease in the store to `ttl`: as a renewal, or as an extension by the holder's wish, which
    /// may also shorten it.
    pub(crate) fn renewal(&self, ttl: Duration, is_wish: bool) -> Renewal {
        Renewal {
            claim: self.claim.clone(),
            ttl,
            may_shorten: is_wish || self.lock().longer,
        }
    }

    /// Whether the keeper should renew the lease before its time: not one that is being tried again already.
    pub(crate) fn is_worth_hurrying(&self) -> bool {
        let state = self.lock();
        self.renew && state.phase == Phase::Live && !state.unsure && !state.detached
    }

    /// When the keeper has to look at a new lease for the first time.
    pub(crate) fn first_due(&self) -> Moment {
        self.lock().due(self.renew, Moment::now())
    }

    /// The time has come at which the keeper was to look at the lease; `is_touched`: someone has touched its lock, so the
    /// store is asked whether the lease is still there.
    pub(crate) fn on_due(&self, now: Moment, is_touched: bool) -> Next {
        let mut state = self.lock();
        let (_, told) = state.observe();
        let next = if state.phase != Phase::Live || state.detached {
            Next::Nothing
        } else if !self.renew || state.last && !is_touched {
            Next::At(state.deadline)
        } else if state.busy {
            // An extension is under way: look again when it is likely to be over.
            Next::At((now + state.ttl / PAUSE_PART).min(state.deadline))
        } else {
            let ttl = self.bounded(state.ttl, now);
            let gains = ttl == state.ttl || deadline(now, ttl) > state.deadline;
            if ttl.is_zero() || !gains && !is_touched {
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

    /// The renewal for `ttl` sent at `sent` came to this; `None` is a failure. `late_until`: it had no answer, may still be
    /// carried out until then, and shorten what was set meanwhile.
    pub(crate) fn on_renewed(
        &self,
        sent: Moment,
        ttl: Duration,
        outcome: Option<Ownership>,
        late_until: Option<Moment>,
    ) -> Next {
        let now = Moment::now();
        let mut state = self.lock();
        state.busy = false;
        if let Some(until) = late_until {
            let shortest = state.cap.map_or(ttl, |(cap, _)| cap.min(ttl));
            state.cap = Some((shortest, until));
        }
        // An answer that comes after the deadline revives nothing: someone else may have had the lock meanwhile.
        let (_, told) = state.observe();
        if state.phase != Phase::Live {
            state.unsure = true;
        }
        let sent = if is_seeded(Bug::RenewalFromAnswer) {
            now
        } else {
            sent
        };
        let next = match outcome {
            _ if state.phase != Phase::Live || state.detached => Next::Nothing,
            Some(ownership) if ownership.is_mine() => {
                state.extended(sent, ttl, self.hold_until);
                // What was sent for a longer TTL since would explain it.
                let longer = ownership == Ownership::MineForLonger && ttl == state.ttl;
                let was_longer = std::mem::replace(&mut state.longer, longer);
                // Cut down at once; a server that goes on saying so is asked again in due time.
                let due = if longer && !was_longer {
                    now
                } else {
                    state.due(self.renew, now)
                };
                Next::At(due)
            }
            Some(ownership) if !is_seeded(Bug::DeposedGoesOn) => {
                let told = state.lose(reason(ownership));
                drop(state);
                self.tell(told);
                self.changed.notify_waiters();
                return Next::Nothing;
            }
            Some(_) | None => {
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

    /// How often an extension was begun.
    pub(crate) fn round(&self) -> u64 {
        self.lock().round
    }

    /// A renewal for `ttl` sent at `sent`, which had counted as failed, was answered after all; `round` was that of the
    /// lease when it was sent. `None`: nothing follows from that.
    pub(crate) fn on_late(
        &self,
        sent: Moment,
        ttl: Duration,
        outcome: Ownership,
        round: u64,
    ) -> Option<Next> {
        let mut inner = self.lock();
        // Past the deadline it revives nothing.
        let (_, told) = inner.observe();
        let end = deadline(sent, inner.capped(ttl));
        let next = if inner.phase != Phase::Live || inner.detached {
            // The keeper hears of the end in its turn, but the store may have been set anew.
            outcome.is_mine().then_some(Next::Nothing)
        } else if inner.round != round || end <= inner.deadline {
            // What was sent later has been answered since.
            None
        } else if outcome.is_mine() {
            inner.extended(sent, ttl, self.hold_until);
            Some(Next::At(inner.due(self.renew, Moment::now())))
        } else {
            let told = inner.lose(reason(outcome));
            drop(inner);
            self.tell(told);
            self.changed.notify_waiters();
            return Some(Next::Nothing);
        };
        drop(inner);
        self.tell(told);
        self.changed.notify_waiters();
        next
    }
}
