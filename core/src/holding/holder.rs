//! What its holder does with a lease: extends it, lets it run out, gives it back.

use std::time::Duration;

use super::{GiveBack, Holding, Phase, deadline, reason};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::store::Ownership;

impl Holding {
    /// Begins an extension: `Ok(None)` while another renewal is under way. The local deadline shrinks before anything is sent.
    pub(crate) fn begin_extend(&self, ttl: Option<Duration>) -> Result<Option<Duration>> {
        if let Some(error) = self.not_held() {
            return Err(error);
        }
        let now = Moment::now();
        let mut inner = self.lock();
        let ttl = crate::options::floor(ttl.unwrap_or(inner.ttl));
        crate::options::check_ttl(ttl, self.unit)?;
        if self.bounded(ttl, now) < ttl {
            return Err(Error::invalid(format!(
                "extending {:?} by {ttl:?} would hold it past its max_hold, which ends in {:?}",
                self.lock.name(),
                self.hold_until.map_or(Duration::ZERO, Moment::remaining)
            )));
        }
        if inner.busy {
            return Ok(None);
        }
        inner.busy = true;
        inner.deadline = inner.deadline.min(deadline(now, ttl));
        Ok(Some(ttl))
    }

    /// An attempt to extend to `ttl` had no answer: it may still be carried out within `command_timeout`, and shorten what
    /// a later renewal sets.
    pub(crate) fn unanswered_extend(&self, ttl: Duration, command_timeout: Duration) {
        let mut inner = self.lock();
        let shortest = inner.cap.map_or(ttl, |(cap, _)| cap.min(ttl));
        inner.cap = Some((shortest, Moment::now() + command_timeout));
        inner.deadline = inner.deadline.min(deadline(Moment::now(), shortest));
    }

    /// An extension to `ttl` sent at `sent` came to this; `None`: unknown. Returns when the keeper has to look again.
    pub(crate) fn end_extend(
        &self,
        sent: Moment,
        ttl: Duration,
        outcome: Option<Ownership>,
    ) -> Option<Moment> {
        let mut inner = self.lock();
        inner.busy = false;
        let (_, mut told) = inner.observe();
        if told.is_some() {
            inner.unsure = true;
        }
        let mut due = None;
        if inner.phase == Phase::Live {
            match outcome {
                Some(Ownership::Mine) => {
                    inner.ttl = ttl;
                    inner.extended(sent, ttl, self.hold_until);
                    due = Some(inner.due(self.renew, Moment::now()));
                }
                Some(ownership) => told = inner.lose(reason(ownership)),
                None => {
                    inner.unsure = true;
                    due = Some(Moment::now());
                }
            }
        }
        drop(inner);
        self.tell(told);
        self.changed.notify_waiters();
        due
    }

    /// Stops renewing; the name is left to its TTL. Whether it was live.
    pub(crate) fn detach(&self) -> bool {
        let mut inner = self.lock();
        let live = inner.phase == Phase::Live && !inner.detached;
        inner.detached = true;
        drop(inner);
        self.changed.notify_waiters();
        live
    }

    /// The TTL of a detached lease was set by a command sent at `sent`, or was not, since the lease had been given back
    /// elsewhere, which is no loss; `None`: unknown.
    pub(crate) fn end_detach(&self, sent: Moment, ttl: Duration, outcome: Option<Ownership>) {
        let mut inner = self.lock();
        inner.busy = false;
        let (_, told) = inner.observe();
        if inner.phase == Phase::Live {
            match outcome {
                Some(Ownership::Mine) => inner.extended(sent, ttl, self.hold_until),
                Some(_) => inner.window = None,
                None => {}
            }
        }
        drop(inner);
        self.tell(told);
        self.changed.notify_waiters();
    }

    /// Whether it is held for a window as yet, and not for its TTL.
    pub(crate) fn is_brief(&self) -> bool {
        let brief = self.lock().window.is_some();
        brief && self.not_held().is_none()
    }

    /// Begins giving it back: from now on it is not held.
    pub(crate) fn begin_release(&self) -> GiveBack {
        let mut inner = self.lock();
        let (_, told) = inner.observe();
        let give_back = if inner.releasing {
            GiveBack::Busy
        } else if let Some(gave_back) = inner.gave_back {
            GiveBack::Known(gave_back)
        } else {
            match inner.phase {
                Phase::Lost(_) => {
                    inner.gave_back = Some(false);
                    GiveBack::Known(false)
                }
                Phase::Live | Phase::Released => {
                    inner.phase = Phase::Released;
                    inner.hooks = Vec::new();
                    self.changed.notify_waiters();
                    inner.releasing = true;
                    GiveBack::Send
                }
            }
        };
        drop(inner);
        self.tell(told);
        give_back
    }

    /// The release was answered, or (`None`) has to be tried again. `unanswered`: an earlier attempt had no answer, and
    /// may be the one that gave the lock back. Returns whether it did, in any case.
    pub(crate) fn end_release(&self, ownership: Option<Ownership>, unanswered: bool) -> bool {
        let mut inner = self.lock();
        inner.releasing = false;
        let unanswered = unanswered || inner.release_unanswered;
        let gave_back = match ownership {
            None => {
                inner.release_unanswered = unanswered;
                None
            }
            Some(Ownership::Mine) => Some(true),
            Some(_) if unanswered => Some(true),
            Some(ownership) => {
                inner.found_gone = Some(reason(ownership));
                Some(false)
            }
        };
        inner.gave_back = gave_back;
        drop(inner);
        self.changed.notify_waiters();
        gave_back == Some(true)
    }
}
