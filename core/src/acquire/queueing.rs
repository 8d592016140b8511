//! An attempt on the runtime: it asks, queues, sleeps until there is news, and asks again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, FirstClaim};
use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::holding::Start;
use crate::lease::Lease;
use crate::observe::LockEventKind;
use crate::seeded::{Bug, is_seeded};
use crate::store::{Ask, Asked, Failure, Grant, Queued, Queueing};
use crate::waiting::{Waiter, news};

/// Whoever is next asks when the lock is touched, and no sooner than this after the last answer: a holder of another kind
/// may touch it all the time.
const TOUCH_PAUSE: Duration = Duration::from_millis(5);

/// A grant whose token is farther ahead of the counter in the last answer, in µs, than a waiter can have been silent for a
/// lease to begin, was not counted by the store: it is claimed.
const FARTHEST_TOKEN: u64 = 24 * 60 * 60 * 1_000_000;

/// The last wait that the store answered.
struct LastWait {
    sent: Moment,
    took: Duration,
    /// The store's token counter at the time of the answer.
    counted: u64,
}

impl Attempt {
    /// Takes the lock, or waits for it as long as the request says; `None` when the lock is held and
    /// the request was to be tried once.
    pub(crate) async fn run(mut self) -> Result<Option<Lease>> {
        let outcome = match self.long_wait() {
            Some(long_wait) => long_wait.watch(self.drive()).await,
            None => self.drive().await,
        };
        match outcome {
            Ok(Some(start)) => Ok(Some(self.finish(&start)?)),
            Ok(None) => {
                self.give_way();
                // An earlier command may still be on its way to the server, and find the name free.
                self.undo_later();
                Ok(None)
            }
            Err(error) => Err(self.fail(error).await),
        }
    }

    /// How the lease begins; `None` when someone else holds the lock and the request was to be tried once.
    async fn drive(&mut self) -> Result<Option<Start>> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        if self.is_behind_own_waiters() {
            self.contend();
        }
        if !self.contended {
            let ask = if self.sent_in.is_some() {
                Ask::Retake
            } else {
                Ask::Take
            };
            match self.ask(ask, Some(self.first_deadline())).await? {
                Asked::Acquired { token, sent, .. } => {
                    return Ok(Some(Start::for_ttl(token, sent)));
                }
                Asked::Held(_) => self.on_held(),
            }
        }
        if self.wait() == Some(Duration::ZERO) {
            return Ok(None);
        }
        let waiter = self.enter_room()?;
        let first = self.first_deadline();
        let mut limit = Some(
            self.deadline()
                .map_or(first, |deadline| deadline.min(first)),
        );
        loop {
            let news = waiter.take_news();
            if news & news::CLOSED != 0 {
                return Err(Error::closed());
            }
            let sent = Moment::now();
            let queueing = Queueing {
                place: self.place.filter(|_| !is_seeded(Bug::PlaceForgotten)),
                // Also a look may find the name handed over.
                may_cut: self.place.is_some() && self.first_claim == FirstClaim::Unsent,
            };
            if queueing.may_cut {
                self.first_claim = FirstClaim::Sent;
            }
            let asked = self.ask(Ask::Queue(queueing), limit).await?;
            let (Asked::Acquired { lost_place, .. } | Asked::Held(Queued { lost_place, .. })) =
                asked;
            if lost_place {
                self.client.room.look_again(&self.claim);
            }
            let queued = match asked {
                Asked::Acquired { token, sent, .. } => {
                    return Ok(Some(Start::for_ttl(token, sent)));
                }
                Asked::Held(queued) => queued,
            };
            if self.first_claim == FirstClaim::Sent {
                // It was answered, and came to nothing: none of it is to come.
                self.first_claim = FirstClaim::Unsent;
            }
            let last = LastWait {
                sent,
                took: Moment::now().since(sent),
                counted: queued.counted,
            };
            self.took = last.took;
            self.on_queued(&queued);
            limit = self.deadline();
            if let Some(grant) = self.sleep(&waiter, queued.look_again).await?
                && self.may_begin(&grant, &last)
            {
                return Ok(Some(Start {
                    token: grant.token,
                    sent: if is_seeded(Bug::GrantIsLease) {
                        Moment::now()
                    } else {
                        sent
                    },
                    window: Some(grant.window),
                }));
            }
        }
    }

    /// Enters the client's waiting room, where the attempt hears news from now on.
    fn enter_room(&mut self) -> Result<Arc<Waiter>> {
        let waiter = self.client.room.enter(&self.claim);
        let waiter = waiter.ok_or_else(Error::closed)?;
        self.waiter = Some(waiter.clone());
        self.client.counters.waiting.add();
        let context = self.request.context();
        self.client
            .tell(&self.claim, context, || LockEventKind::Queued);
        Ok(waiter)
    }

    /// Whether the lease of `grant` can begin without a claim. The store set that lease after it had answered the last wait,
    /// so its time counts from when that wait was sent. What is left of the claim window must last until the keeper has set
    /// the full TTL: on a connection that is fast, and whatever the holder's thread does.
    fn may_begin(&self, grant: &Grant, last: &LastWait) -> bool {
        let options = self.request.options();
        if is_seeded(Bug::GrantIsLease) {
            return true;
        }
        options.renew
            && options.max_hold.is_none()
            && options.ttl >= grant.window
            && !self.stale
            && grant.token > last.counted
            && grant.token - last.counted <= FARTHEST_TOKEN
            && last.took <= grant.window / 10
            && Moment::now().since(last.sent) <= grant.window / 2
            && self.client.dedicated_runtime
            && self.client.store.grants_count()
    }

    /// Sleeps until there is a reason to ask the store again: after `look_again` there is one. A grant is one, too, and is returned where a
    /// lease may begin by it.
    async fn sleep(
        &self,
        waiter: &Arc<Waiter>,
        look_again: Option<Duration>,
    ) -> Result<Option<Grant>> {
        // What came before the last answer was read is a reason to ask again, also a grant: it may be older than that.
        let mut reasons = news::GRANTED | news::RECHECK | news::NEXT;
        let mut slept = false;
        let (answered, mut touched) = (Instant::now(), None);
        let look_again = look_again.map(|after| answered + after);
        loop {
            let look_at = touched.or_else(|| self.client.room.look_at(waiter));
            let look_at = look_at.into_iter().chain(look_again).min();
            let deadline = self.deadline();
            let news = waiter.take_news();
            if news & news::CLOSED != 0 {
                return Err(Error::closed());
            }
            if news & news::RECHECK == 0 && news & news::GRANTED != 0 {
                return Ok(waiter.grant().filter(|_| slept));
            }
            if news & reasons != 0 {
                return Ok(None);
            }
            if look_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(None);
            }
            reasons = news::RECHECK;
            slept = true;
            if news & news::TOUCHED != 0 && touched.is_none() {
                touched = Some(answered + TOUCH_PAUSE);
                continue;
            }
            tokio::select! {
                biased;
                () = waiter.notified() => {}
                // Someone else may have looked meanwhile.
                () = until(look_at) => {}
                () = until(deadline) => return Err(self.timed_out()),
            }
        }
    }

    /// Asks the store, again while the failure is temporary and `limit` has not come.
    async fn ask(&mut self, mut ask: Ask, limit: Option<Instant>) -> Result<Asked> {
        let client = self.client.clone();
        let ttl = self.request.options().ttl;
        let mut backoff = Backoff::new();
        let mut last_error = self.last_words.take();
        loop {
            let sent_before = self.sent_in;
            self.sent_in = sent_before.or_else(|| Some(self.standing()));
            let exchange = client.store.ask(&self.claim, ttl, ask);
            let failure = match before(limit, self.unless_closed(exchange)).await {
                Some(Ok(Asked::Acquired { sent, .. })) if self.is_late(sent) => {
                    // What is left of the lease is too little: claim it again, which sets its full time.
                    Failure::answered(Error::unavailable(format!(
                        "the server answers too slowly for a ttl of {ttl:?}: the reply took {:?}; use a longer ttl",
                        Moment::now().since(sent)
                    )))
                }
                Some(Ok(asked)) => return Ok(asked),
                Some(Err(failure)) => failure,
                None if self.contended
                    && self.deadline().is_some_and(|at| at <= Instant::now()) =>
                {
                    return Err(self.timed_out());
                }
                None => return Err(last_error.unwrap_or_else(|| self.unanswered())),
            };
            self.stale |= failure.is_unanswered();
            if failure.is_unsent() {
                self.sent_in = sent_before;
            } else if ask == Ask::Take {
                ask = Ask::Retake;
            }
            if let Ask::Queue(queueing) = &mut ask
                && queueing.may_cut
                && failure.is_unanswered()
            {
                queueing.may_cut = false;
                self.first_claim = FirstClaim::Unanswered;
            }
            // Whoever stands in the queue stays, and finds room later.
            let stays = failure.is_temporary() || self.place.is_some() && failure.is_of_room();
            if !stays {
                return Err(failure.error);
            }
            let pause = backoff.next();
            // The last pause ends with the limit, which is what was promised.
            let next = Instant::now() + pause;
            let is_last = limit.is_some_and(|limit| next >= limit);
            let next = limit.map_or(next, |limit| next.min(limit));
            last_error = Some(failure.error.clone());
            let pause = async {
                tokio::time::sleep_until(next).await;
                Ok(())
            };
            if let Err(failure) = self.unless_closed(pause).await {
                return Err(failure.error);
            }
            if is_last {
                return Err(failure.error);
            }
        }
    }

    /// `work`, ended early when the client closes.
    pub(super) async fn unless_closed<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            result = work => result,
            // What was begun may have been sent, and is undone in order on the same connection.
            () = self.client.closing() => Err(Failure::answered(Error::closed())),
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The output of `future` if it is there by `limit`.
async fn before<T>(limit: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout_at(limit, future).await.ok(),
        None => Some(future.await),
    }
}
