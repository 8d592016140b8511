//! Acquiring a lock: take it, or queue for it until it is handed over; and undo whatever was begun when that comes to nothing.

mod elsewhere;
mod queueing;
mod reporting;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Span;

use crate::claim::Claim;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::holding::{Holding, Start};
use crate::lease::Lease;
use crate::observe::LockEventKind;
use crate::options::Request;
use crate::seeded::{Bug, is_seeded};
use crate::shared::{ClientCore, LEAVE_TIMEOUT};
use crate::store::{Queued, Standing};
use crate::undo::undo;
use crate::waiting::Waiter;

pub(crate) use elsewhere::First;

/// A short wait still gives the server this long for its first answer: an acquire that finds the name free is not to
/// fail for being slower than its wait.
const FIRST_ANSWER: Duration = Duration::from_millis(250);
/// A queue in the store outlives its lock by this, and so does the entry of a waiter that could not leave.
const QUEUE_LASTS: Duration = Duration::from_secs(90);
/// What went wrong on another connection first still has this long for one answer.
const SECOND_ANSWER: Duration = Duration::from_millis(75);
/// How long an acquire whose wait ran out stays to see itself out of the queue before it reports: twice what the server took
/// to answer it, and no less than this. At most it is as long as one that was refused stays.
const LEAVE_AT_LEAST: Duration = Duration::from_millis(250);

/// What became of an attempt's first claim of a grant, which alone may cut the claim window down to a shorter TTL. Any look from the
/// queue may turn out to be that claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstClaim {
    Unsent,
    Sent,
    /// It may be carried out later.
    Unanswered,
}

/// One acquire, from its first command to a lease. An attempt that is dropped before is undone in the background.
pub(crate) struct Attempt {
    client: Arc<ClientCore>,
    request: Request,
    claim: Arc<Claim>,
    started: Instant,
    /// The lock's standing at the first command that may have left something behind.
    sent_in: Option<Standing>,
    /// A command of this attempt went unanswered on a connection that broke.
    stale: bool,
    waiter: Option<Arc<Waiter>>,
    place: Option<u64>,
    contended: bool,
    first_claim: FirstClaim,
    /// What the last answer of the store took.
    took: Duration,
    /// The store refused the first command, which went by a connection other than the shared one: the attempt is only to
    /// be undone.
    refusal: Option<Error>,
    /// Why the first command came to nothing for now, by the store's answer.
    last_words: Option<Error>,
    done: bool,
    span: Span,
    _under_way: TaskTrackerToken,
}

impl Attempt {
    /// Nothing is sent yet.
    pub(crate) fn new(client: &Arc<ClientCore>, request: Request) -> Result<Self> {
        if client.is_closed() {
            return Err(Error::closed());
        }
        let label = request.options().label.as_deref();
        let claim = Claim::fresh(request.lock(&client.app_id), label, request.limit());
        Ok(Self {
            client: client.clone(),
            request,
            span: client.acquire_span(&claim),
            claim,
            started: Instant::now(),
            sent_in: None,
            stale: false,
            waiter: None,
            place: None,
            contended: false,
            first_claim: FirstClaim::Unsent,
            took: Duration::ZERO,
            refusal: None,
            last_words: None,
            done: false,
            _under_way: client.attempt(),
        })
    }

    /// The lock's standing in the store just now.
    fn standing(&self) -> Standing {
        self.client.store.standing(&self.claim.lock)
    }

    fn wait(&self) -> Option<Duration> {
        self.request.options().wait
    }

    /// When the wait is over; `None`: never.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wait().and_then(|wait| self.started.checked_add(wait))
    }

    /// When a first command without an answer has failed.
    fn first_deadline(&self) -> Instant {
        let timeout = self.client.command_timeout;
        let limit = self.started + self.short_wait().map_or(timeout, |wait| wait.min(timeout));
        limit.max(Instant::now() + SECOND_ANSWER.min(timeout))
    }

    /// How long the first command may go unanswered where the wait is short; `None`: as long as the store's patience lasts.
    pub(crate) fn first_limit(&self) -> Option<Duration> {
        self.short_wait()
    }

    /// The request's wait, but no less than the time for a first answer; `None` where the request is to be tried once, or
    /// waits for ever.
    fn short_wait(&self) -> Option<Duration> {
        self.wait()
            .filter(|wait| !wait.is_zero())
            .map(|wait| wait.max(FIRST_ANSWER))
    }

    /// Whether a lease set by a command that was sent at `sent` is too old to hand out: less than half its TTL is left.
    fn is_late(&self, sent: Moment) -> bool {
        Moment::now().since(sent) > self.request.options().ttl / 2
    }

    /// The answer to the first command was that someone else holds the lock.
    fn on_held(&mut self) {
        if !self.stale || is_seeded(Bug::TryForgets) {
            // What met a holder left nothing behind.
            self.sent_in = None;
        }
        self.contend();
    }

    /// The answer to a wait was that this attempt stands in the queue, at `queued.place`.
    fn on_queued(&mut self, queued: &Queued) {
        if let Some(waiter) = &self.waiter {
            self.client.room.update(waiter, self.place, queued);
        }
        self.place = Some(queued.place);
    }

    fn contend(&mut self) {
        if !std::mem::replace(&mut self.contended, true) {
            self.client.counters.contended.add();
        }
    }

    fn finish(&mut self, start: &Start) -> Result<Lease> {
        if self.client.is_closed() {
            return Err(Error::closed());
        }
        let contended = self.contended;
        self.tell_end(|waited| LockEventKind::Acquired {
            token: start.token,
            waited,
            contended,
        });
        let holding = Holding::new(
            self.claim.clone(),
            &self.request,
            start,
            self.stale,
            (self.first_claim == FirstClaim::Unanswered && !is_seeded(Bug::ClaimUncapped))
                .then(|| Moment::now() + self.client.command_timeout),
            self.client.lease_span(&self.claim, start.token),
        );
        let lease = Lease::new(self.client.clone(), Arc::new(holding));
        if self
            .sent_in
            .is_some_and(|sent_in| sent_in != self.standing())
        {
            // Whoever granted it may not be the one to ask any more, and its successor does not know of it.
            lease.renew_now();
        }
        self.done = true;
        self.leave_room(!self.stale);
        Ok(lease)
    }

    /// Undoes the attempt, waits until it is undone if there is reason to, and gives the error to tell the user.
    async fn fail(&mut self, error: Error) -> Error {
        self.done = true;
        self.tell_end(|waited| match error.kind() {
            ErrorKind::LockTimeout => LockEventKind::TimedOut { waited },
            ErrorKind::ClientClosed | ErrorKind::Interrupted => LockEventKind::Cancelled { waited },
            error => LockEventKind::Failed { waited, error },
        });
        let undo = self.undo_later();
        match error.kind() {
            ErrorKind::LockTimeout => self.client.counters.timed_out.add(),
            ErrorKind::StoreRefused => {
                // A command may have been carried out in part; who is refused finds nothing left.
                if let Some(undo) = undo {
                    let _ = tokio::time::timeout(LEAVE_TIMEOUT, undo).await;
                }
                return error;
            }
            _ => return error,
        }
        match undo {
            Some(undo) => {
                let patience = (self.took * 2).clamp(LEAVE_AT_LEAST, LEAVE_TIMEOUT);
                match tokio::time::timeout(patience, undo).await {
                    Ok(Ok(true)) => error,
                    _ => self.unanswered(),
                }
            }
            None => error,
        }
    }

    fn timed_out(&self) -> Error {
        Error::timed_out(self.request.name(), self.started.elapsed())
    }

    fn unanswered(&self) -> Error {
        Error::unavailable(format!(
            "the store gave no answer while acquiring {:?} ({:.3} s); is it reachable?",
            self.request.name(),
            self.started.elapsed().as_secs_f64()
        ))
    }

    /// Someone else holds the lock, and the request was to be tried once.
    fn give_way(&mut self) {
        self.done = true;
        self.tell_end(|waited| LockEventKind::Busy { waited });
    }

    /// Tells how the acquire ended.
    fn tell_end(&mut self, kind: impl FnOnce(Duration) -> LockEventKind) {
        let span = std::mem::replace(&mut self.span, Span::none());
        let kind = || kind(self.started.elapsed());
        let context = self.request.context();
        self.client
            .tell_and_record(&span, &self.claim, context, kind);
    }

    fn leave_room(&mut self, is_served: bool) {
        if let Some(waiter) = self.waiter.take() {
            self.client.room.leave(&waiter, self.place, is_served);
            self.client.counters.waiting.sub();
        }
    }

    /// Begins to undo in the background, if anything was sent: the result tells whether the store answered.
    fn undo_later(&mut self) -> Option<tokio::task::JoinHandle<bool>> {
        self.leave_room(false);
        let sent_in = self.sent_in.take()?;
        let ttl = self.request.options().ttl;
        let lasts = if self.contended {
            ttl.max(QUEUE_LASTS)
        } else {
            ttl
        };
        // Perhaps nothing runs after whoever dropped it: the store has the release before that.
        let begun = self.client.release_at_once(&self.claim);
        let undo = undo(
            self.client.clone(),
            self.claim.clone(),
            lasts,
            sent_in,
            self.stale,
            begun,
        );
        self.client.background(undo)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.done {
            self.client.counters.cancelled.add();
            if is_seeded(Bug::DropForgets) {
                return;
            }
            self.tell_end(|waited| LockEventKind::Cancelled { waited });
            self.undo_later();
        }
    }
}
