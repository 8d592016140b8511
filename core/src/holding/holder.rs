//! What the holder of a lease does with it: extends it, lets it run out, gives it back.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{GiveBack, Holding, Phase, deadline, end_of_keeping, reason};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::seeded::{Bug, is_seeded};
use crate::store::{Ownership, Releaser};

impl Holding {
    /// Begins an extension: `Ok(None)` while another renewal is under way. The local deadline shrinks before anything is sent.
    pub(crate) fn begin_extend(&self, ttl: Option<Duration>) -> Result<Option<Duration>> {
        if let Some(error) = self.not_held() {
            return Err(error);
        }
        let now = Moment::now();
        let mut state = self.lock();
        let ttl = crate::options::floor(ttl.unwrap_or(state.ttl));
        crate::options::check_ttl(ttl, self.unit)?;
        if self.bounded(ttl, now) < ttl {
            return Err(Error::invalid(format!(
                "extending {:?} by {ttl:?} would hold it past its max_hold, which ends in {:?}",
                self.claim.lock.name(),
                self.hold_until.map_or(Duration::ZERO, Moment::remaining)
            )));
        }
        if state.busy {
            return Ok(None);
        }
        state.busy = true;
        state.round += 1;
        state.longest = state.longest.max(ttl);
        state.deadline = state.deadline.min(deadline(now, ttl));
        Ok(Some(ttl))
    }

    /// An attempt to extend to `ttl` had no answer: it may still be carried out within `command_timeout`, and shorten what
    /// a later renewal sets.
    pub(crate) fn unanswered_extend(&self, ttl: Duration, command_timeout: Duration) {
        if is_seeded(Bug::ExtendForgets) {
            return;
        }
        let mut state = self.lock();
        let shortest = state.cap.map_or(ttl, |(cap, _)| cap.min(ttl));
        state.cap = Some((shortest, Moment::now() + command_timeout));
        state.deadline = state.deadline.min(deadline(Moment::now(), shortest));
    }

    /// An extension to `ttl` sent at `sent` came to this; `None`: unknown. Returns when the keeper has to look again.
    pub(crate) fn end_extend(
        &self,
        sent: Moment,
        ttl: Duration,
        outcome: Option<Ownership>,
    ) -> Option<Moment> {
        let mut state = self.lock();
        state.busy = false;
        let (_, mut told) = state.observe();
        if told.is_some() {
            state.unsure = true;
        }
        let mut due = None;
        if state.phase == Phase::Live {
            match outcome {
                Some(ownership) if ownership.is_mine() => {
                    state.ttl = ttl;
                    state.extended(sent, ttl, self.hold_until);
                    due = Some(state.due(self.renew, Moment::now()));
                }
                Some(ownership) => told = state.lose(reason(ownership)),
                None => {
                    state.unsure = true;
                    due = Some(Moment::now());
                }
            }
        }
        drop(state);
        self.tell(told);
        self.changed.notify_waiters();
        due
    }

    /// Stops renewing; the name is left to its TTL. `true` when the lease was live and not detached before.
    pub(crate) fn detach(&self) -> bool {
        let mut state = self.lock();
        let live = state.phase == Phase::Live && !state.detached;
        state.detached = true;
        drop(state);
        self.changed.notify_waiters();
        live
    }

    /// The TTL of a detached lease was set by a command sent at `sent`, or was not, since the lease had been given back
    /// elsewhere, which is no loss; `None`: unknown.
    pub(crate) fn end_detach(&self, sent: Moment, ttl: Duration, outcome: Option<Ownership>) {
        let mut state = self.lock();
        state.busy = false;
        let (_, told) = state.observe();
        if state.phase == Phase::Live {
            match outcome {
                Some(ownership) if ownership.is_mine() => {
                    state.extended(sent, ttl, self.hold_until);
                }
                Some(_) => state.window = None,
                None => {}
            }
        }
        drop(state);
        self.tell(told);
        self.changed.notify_waiters();
    }

    /// Whether the lease is held for its claim window as yet, and not for its TTL.
    pub(crate) fn held_briefly(&self) -> bool {
        let brief = self.lock().window.is_some();
        brief && self.not_held().is_none()
    }

    /// Has the name stay taken for `min_hold` from now on, also where the lease is given back; without it the name is free then.
    pub(crate) fn keep(&self, min_hold: Option<Duration>) {
        let until = end_of_keeping(Moment::now(), min_hold);
        self.keep_until.store(until, Relaxed);
    }

    /// How long the name has to stay taken from now on, where the lease is given back before its `min_hold` has passed.
    pub(crate) fn kept_for(&self) -> Option<Duration> {
        let until = self.keep_until.load(Relaxed);
        if until == 0 {
            return None;
        }
        let left = Moment::from_millis(until).remaining();
        // A millisecond is the least that a store keeps anything for.
        (left > Duration::ZERO).then(|| left.max(Duration::from_millis(1)))
    }

    /// Completes when no renewal is under way, and no extension.
    pub(crate) async fn unrenewed(&self) {
        loop {
            let changed = self.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.lock().busy {
                return;
            }
            changed.await;
        }
    }

    /// What gives the lease back: now, or when its `min_hold` has passed.
    pub(crate) fn releaser(&self) -> Releaser {
        let claim = self.claim.clone();
        match self.kept_for() {
            None => Releaser::Own(claim),
            Some(after) => Releaser::Later(claim, after),
        }
    }

    /// Begins giving the lease back: from now on it is not held.
    pub(crate) fn begin_release(&self) -> GiveBack {
        let mut unused = Vec::new();
        let mut state = self.lock();
        let (_, told) = state.observe();
        let give_back = if state.releasing {
            GiveBack::Busy
        } else if let Some(gave_back) = state.gave_back {
            GiveBack::Known(gave_back)
        } else {
            match state.phase {
                Phase::Lost(_) => {
                    state.gave_back = Some(false);
                    GiveBack::Known(false)
                }
                Phase::Live | Phase::Released => {
                    state.phase = Phase::Released;
                    unused = std::mem::take(&mut state.hooks);
                    self.changed.notify_waiters();
                    state.releasing = true;
                    GiveBack::Send
                }
            }
        };
        drop(state);
        // With nothing locked: a hook may be all that keeps the lease.
        drop(unused);
        self.tell(told);
        give_back
    }

    /// The release was answered, or (`None`) has to be tried again. `unanswered`: an earlier attempt had no answer, and
    /// may be the one that gave the lock back. Returns whether this lease gave the lock back.
    pub(crate) fn end_release(&self, ownership: Option<Ownership>, unanswered: bool) -> bool {
        let mut state = self.lock();
        state.releasing = false;
        let unanswered = unanswered || state.release_unanswered;
        let gave_back = match ownership {
            None => {
                state.release_unanswered = unanswered;
                None
            }
            Some(ownership) if ownership.is_mine() => Some(true),
            Some(_) if unanswered => Some(true),
            Some(ownership) => {
                state.found_gone = Some(reason(ownership));
                Some(false)
            }
        };
        state.gave_back = gave_back;
        drop(state);
        self.changed.notify_waiters();
        gave_back == Some(true)
    }
}
