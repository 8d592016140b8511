//! The state of one lease: held, unsure, lost or released, its deadline, and who is told when it is lost.
//!
//! Shared by the handle the user has and by the keeper that renews it. No I/O here.

mod holder;
mod keeping;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Span;

use crate::claim::Claim;
use crate::clock::{Moment, drift};
use crate::error::{Error, LossReason};
use crate::observe::Context;
use crate::options::{Request, Unit};
use crate::seeded::{Bug, is_seeded};
use crate::state::LeaseState;
use crate::store::Ownership;
use crate::sync;

/// A lease is renewed when this part of its TTL has passed: two more attempts fit before it ends.
const RENEW_AFTER: u32 = 3;

/// A renewal is sent early enough to take this many times what the last answer took.
const MARGIN: u32 = 2;

/// Between two renewals there is this part of the TTL at least, in which its holder may extend the lease.
const PAUSE_PART: u32 = 20;

/// A lease that began with a grant is held for the claim window only: it is renewed this soon. Shorter critical sections
/// are over by then, and cost no renewal.
const WINDOW_RENEW_AFTER: Duration = Duration::from_millis(25);

/// What a user has called once when a lease is lost.
pub(crate) type LossHook = Box<dyn FnOnce(LossReason) + Send>;

/// What the keeper has to do next for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Renew the lease now, for `ttl`.
    Renew {
        ttl: Duration,
        /// How long the lease was last set to live.
        term: Duration,
    },
    /// Look at the lease again at this moment.
    At(Moment),
    /// Nothing more: the lease has ended.
    Nothing,
}

/// How a release has to be carried out.
pub(crate) enum GiveBack {
    /// Send the release.
    Send,
    /// Someone else is sending the release: wait for a change.
    Busy,
    /// Known already: whether this lease gave the name back.
    Known(bool),
}

/// One lease, shared by the handle that the user has and the keeper that renews it.
pub(crate) struct Holding {
    pub(crate) claim: Arc<Claim>,
    pub(crate) token: u64,
    /// Whether a command of this owner went unanswered on a connection that broke.
    pub(crate) stale: bool,
    /// When it began.
    pub(crate) since: Moment,
    /// See [`Request::in_context`].
    pub(crate) context: Option<Context>,
    renew: bool,
    /// Where `max_hold` ends.
    hold_until: Option<Moment>,
    /// Where `min_hold` ends, in ms since boot; 0 without one.
    keep_until: AtomicU64,
    unit: Unit,
    changed: Notify,
    state: Mutex<HoldingState>,
}

/// What changes of a lease while it is held.
// Independent facts, not a state machine: the phase is one.
#[allow(clippy::struct_excessive_bools)]
struct HoldingState {
    ttl: Duration,
    /// The longest TTL that was ever asked for: the store may have it, also by an extension that nobody heard the answer of.
    longest: Duration,
    /// The store keeps the lease for this claim window only, since no renewal has set the TTL yet.
    window: Option<Duration>,
    deadline: Moment,
    /// The deadline is that of `max_hold`: there is no renewing past it.
    last: bool,
    phase: Phase,
    unsure: bool,
    detached: bool,
    /// The TTL of a command that had no answer, and the moment until which that command may still be carried out, and shorten
    /// what a later one set.
    cap: Option<(Duration, Moment)>,
    /// The store has the lease for longer than the holder asked for, as after its clock went back: cut it down.
    longer: bool,
    /// How often an extension was begun: an answer from before one says nothing about what came of it.
    round: u64,
    /// A renewal or an extension is under way; they take turns.
    busy: bool,
    releasing: bool,
    /// An earlier release had no answer, and may be the one that gave the lock back.
    release_unanswered: bool,
    gave_back: Option<bool>,
    /// The release found the lease gone: lost on the way, and nobody had noticed.
    found_gone: Option<LossReason>,
    hooks: Vec<LossHook>,
    /// What stands for the lease in a trace, until its end was told of.
    span: Option<Span>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Live,
    Lost(LossReason),
    Released,
}

/// How a lease begins.
pub(crate) struct Start {
    pub(crate) token: u64,
    /// When the command was sent from which the lease's time counts.
    pub(crate) sent: Moment,
    /// The claim window, where the store keeps the lease for no longer than that as yet.
    pub(crate) window: Option<Duration>,
}

impl Start {
    /// A lease that begins by a command which set its TTL and was sent at `sent`.
    pub(crate) fn for_ttl(token: u64, sent: Moment) -> Self {
        Self {
            token,
            sent,
            window: None,
        }
    }
}

impl Holding {
    /// The lease of `request`. `stale`: an earlier command of the owner had no answer. `cut_until`: one that may cut the lease
    /// down to its first TTL is among them, and may be carried out until then.
    pub(crate) fn new(
        claim: Arc<Claim>,
        request: &Request,
        start: &Start,
        stale: bool,
        cut_until: Option<Moment>,
        span: Span,
    ) -> Self {
        let &Start {
            token,
            sent,
            window,
        } = start;
        let sent = if is_seeded(Bug::DeadlineFromAnswer) {
            Moment::now()
        } else {
            sent
        };
        let options = request.options();
        let (ttl, max_hold) = (options.ttl, options.max_hold);
        // A wait may have been sent long before the grant that answers it.
        let since = if window.is_some() {
            Moment::now()
        } else {
            sent
        };
        Self {
            claim,
            token,
            stale,
            since,
            context: request.context().cloned(),
            renew: options.renew,
            hold_until: max_hold.map(|max_hold| sent + max_hold),
            keep_until: AtomicU64::new(end_of_keeping(since, options.min_hold)),
            unit: request.unit(),
            changed: Notify::new(),
            state: Mutex::new(HoldingState {
                ttl,
                longest: ttl,
                window,
                deadline: deadline(sent, window.unwrap_or(ttl)),
                last: max_hold.is_some_and(|max_hold| max_hold <= ttl),
                phase: Phase::Live,
                unsure: false,
                detached: false,
                // It would set the first TTL over a longer one.
                cap: cut_until.map(|until| (ttl, until)),
                longer: false,
                round: 0,
                busy: false,
                releasing: false,
                release_unanswered: false,
                gave_back: None,
                found_gone: None,
                hooks: Vec::new(),
                span: Some(span),
            }),
        }
    }

    /// The lease's span; `None` when it was taken before.
    pub(crate) fn take_span(&self) -> Option<Span> {
        self.lock().span.take()
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.lock().detached
    }

    /// What the release found, where the lease had gone before it and nobody had noticed.
    pub(crate) fn found_gone(&self) -> Option<LossReason> {
        self.lock().found_gone
    }

    fn lock(&self) -> MutexGuard<'_, HoldingState> {
        sync::lock(&self.state)
    }

    // ---- what the lease is

    pub(crate) fn state(&self) -> LeaseState {
        let (seen, hooks) = self.lock().observe();
        self.tell(hooks);
        seen
    }

    pub(crate) fn loss(&self) -> Option<LossReason> {
        self.state();
        match self.lock().phase {
            Phase::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.lock().ttl
    }

    /// How long the store may go on having the lease, whatever is known of it here.
    pub(crate) fn may_last(&self) -> Duration {
        self.lock().longest
    }

    pub(crate) fn expires_in(&self) -> Duration {
        let state = self.lock();
        match state.phase {
            Phase::Live => state.deadline.remaining(),
            _ => Duration::ZERO,
        }
    }

    /// Whether the lease needs no giving back: released, detached, or lost.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.lock();
        state.detached || state.phase != Phase::Live || state.deadline.is_past()
    }

    /// The error of using a lease that is not held.
    pub(crate) fn not_held(&self) -> Option<Error> {
        match self.state() {
            LeaseState::Held | LeaseState::Unsure => None,
            LeaseState::Lost => self.loss_error(),
            LeaseState::Released => Some(Error::released(self.claim.lock.name())),
        }
    }

    /// The error of having lost the lease, also where only the release noticed.
    pub(crate) fn loss_error(&self) -> Option<Error> {
        let reason = self.loss().or_else(|| self.lock().found_gone)?;
        Some(Error::lost(self.claim.lock.name(), reason))
    }

    /// Whether the lease is lost, and the store may have it for longer, or will have it again. For longer: it ran out, and a renewal had no
    /// answer, or has none yet, which may have set its TTL anew, or less was counted on than the store was told, since a command was given up
    /// that may shorten it. Again: a command that asked for it was left on a broken connection.
    pub(crate) fn may_outlive_its_loss(&self) -> bool {
        let state = self.lock();
        let is_counted_short = state.unsure || state.busy || state.longer || state.cap.is_some();
        let may_outlive = match state.phase {
            Phase::Lost(LossReason::Expired | LossReason::MaxHold) => {
                is_counted_short || self.stale
            }
            Phase::Lost(_) => self.stale,
            Phase::Live | Phase::Released => false,
        };
        may_outlive && !is_seeded(Bug::LossKept)
    }

    /// When a detached lease ends, which no keeper watches.
    pub(crate) fn unwatched_end(&self) -> Option<Duration> {
        let state = self.lock();
        (state.detached && state.phase == Phase::Live).then(|| state.deadline.remaining())
    }

    /// Completes at the next change of state.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    // ---- loss

    /// Calls `hook` when the lease is lost: at once if it is.
    pub(crate) fn on_lost(&self, hook: LossHook) {
        let mut state = self.lock();
        let (_, mut told) = state.observe();
        let phase = state.phase;
        if phase == Phase::Live {
            state.hooks.push(hook);
        } else {
            drop(state);
            if let Phase::Lost(reason) = phase {
                if let Some((_, hooks)) = &mut told {
                    hooks.push(hook);
                } else {
                    drop(told);
                    call(hook, reason);
                    return;
                }
            }
            self.tell(told);
        }
    }

    /// Runs what [`HoldingState::lose`] returned, with nothing locked.
    fn tell(&self, told: Option<(LossReason, Vec<LossHook>)>) {
        if let Some((reason, hooks)) = told {
            self.changed.notify_waiters();
            for hook in hooks {
                call(hook, reason);
            }
        }
    }
}

impl HoldingState {
    /// The state now; a lease whose deadline has come becomes lost, and the hooks to run are returned.
    fn observe(&mut self) -> (LeaseState, Option<(LossReason, Vec<LossHook>)>) {
        let mut told = None;
        if self.phase == Phase::Live && self.deadline.is_past() {
            told = self.lose(if self.last {
                LossReason::MaxHold
            } else {
                LossReason::Expired
            });
        }
        let seen = match self.phase {
            Phase::Live if self.unsure => LeaseState::Unsure,
            Phase::Live => LeaseState::Held,
            Phase::Lost(_) => LeaseState::Lost,
            Phase::Released => LeaseState::Released,
        };
        (seen, told)
    }

    fn lose(&mut self, reason: LossReason) -> Option<(LossReason, Vec<LossHook>)> {
        if self.phase != Phase::Live {
            return None;
        }
        self.phase = Phase::Lost(reason);
        Some((reason, std::mem::take(&mut self.hooks)))
    }

    /// The store set the TTL by a command sent at `sent`.
    fn extended(&mut self, sent: Moment, ttl: Duration, hold_until: Option<Moment>) {
        self.unsure = false;
        self.window = None;
        // It holds for every renewal that was sent while it stood.
        if self.cap.is_some_and(|(_, until)| until < sent) {
            self.cap = None;
        }
        self.deadline = deadline(sent, self.capped(ttl));
        // A TTL cut to where `max_hold` ends was rounded down to the millisecond.
        self.last = hold_until.is_some_and(|end| end <= sent + ttl + Duration::from_millis(1));
    }

    /// What can be counted on of a TTL that the store was told.
    fn capped(&self, ttl: Duration) -> Duration {
        self.cap.map_or(ttl, |(cap, _)| cap.min(ttl))
    }

    /// When to renew the lease, or else when it ends.
    fn due(&self, renew: bool, now: Moment) -> Moment {
        if renew && self.window.is_some() {
            now + WINDOW_RENEW_AFTER
        } else if renew && !self.last {
            // Counted from now rather than from sending: a slow reply must not make renewals back to back. But where it was so
            // slow that the next one might come too late, that is sent sooner.
            let ttl = self.capped(self.ttl);
            let took = ttl.saturating_sub(self.deadline.since(now));
            let in_time = self.deadline.earlier(took * MARGIN);
            let soonest = now + ttl / PAUSE_PART;
            (now + ttl / RENEW_AFTER)
                .min(in_time.max(soonest))
                .min(self.deadline)
        } else {
            self.deadline
        }
    }
}

/// Calls a hook; one that panics must not take the keeper down with it, nor keep others from being called.
pub(crate) fn call(hook: LossHook, reason: LossReason) {
    let hook = std::panic::AssertUnwindSafe(|| hook(reason));
    if std::panic::catch_unwind(hook).is_err() {
        tracing::error!(target: "leaselock", event = "hook_failed", "a hook for the loss of a lease panicked");
    }
}

/// Where a `min_hold` that began at `since` ends, in ms since boot; 0 without one.
fn end_of_keeping(since: Moment, min_hold: Option<Duration>) -> u64 {
    min_hold.map_or(0, |min_hold| (since + min_hold).millis() + 1)
}

/// The end of a lease as its holder reckons it: before the store's, by the drift of two clocks.
fn deadline(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl.saturating_sub(drift(ttl))
}

/// Why a lease is lost when the store answered `ownership` for its owner.
fn reason(ownership: Ownership) -> LossReason {
    match ownership {
        Ownership::Other => LossReason::Taken,
        Ownership::Mine | Ownership::MineForLonger | Ownership::Nobody => LossReason::Released,
    }
}
