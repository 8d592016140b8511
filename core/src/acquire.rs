//! Acquiring a lock: take it, or queue for it and claim it; and undo whatever was begun when that comes to nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::holding::Holding;
use crate::lease::Lease;
use crate::name::{LockId, fresh_owner};
use crate::options::Request;
use crate::shared::Inner;
use crate::store::{Ask, Asked, Failure, Queued};
use crate::undo::undo;
use crate::waiting::{Slot, news};

/// A short wait still gives the server this long for its first answer: an acquire that finds the name free is not to
/// fail for being slower than its wait.
const FIRST_ANSWER: Duration = Duration::from_millis(250);
/// A queue outlives its lock by this, and with it the entry of a waiter that could not leave.
const QUEUE_LASTS: Duration = Duration::from_secs(90);
/// How long an acquire whose wait ran out stays to see itself out of the queue before it reports.
pub(crate) const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What came of a command that was sent elsewhere than on the shared connection.
pub(crate) enum First {
    Acquired(Lease),
    /// Someone else holds it, and it was to be tried once.
    Held,
    /// [`Attempt::run`] goes on.
    Undecided,
}

/// How far an attempt that may claim elsewhere came on the runtime.
pub(crate) enum Ran {
    Over(Result<Option<Lease>>),
    /// The name was handed to it: to be claimed now.
    Granted(Box<Attempt>),
}

/// How a wait for the name comes to its end.
enum Driven {
    Acquired(u64, Moment),
    /// Someone else holds it, and it was to be tried once.
    Held,
    Granted,
}

/// One acquire, from its first command to a lease; dropped before, it undoes itself in the background.
pub(crate) struct Attempt {
    client: Arc<Inner>,
    request: Request,
    lock: LockId,
    owner: Arc<str>,
    started: Instant,
    /// The connection's epoch at the first command that may have left something behind.
    sent_in: Option<u64>,
    /// A command went unanswered on a connection that broke.
    stale: bool,
    slot: Option<Arc<Slot>>,
    place: Option<u64>,
    contended: bool,
    /// The first command, sent elsewhere, was refused: all that is left is to undo it.
    refusal: Option<Error>,
    done: bool,
    _under_way: TaskTrackerToken,
}

impl Attempt {
    /// Nothing is sent yet.
    pub(crate) fn new(client: &Arc<Inner>, request: Request) -> Result<Self> {
        if client.is_closed() {
            return Err(Error::closed());
        }
        let lock = LockId::new(&client.app_id, request.name())?;
        let owner = fresh_owner(request.options().label.as_deref()).into();
        Ok(Self {
            client: client.clone(),
            request,
            lock,
            owner,
            started: Instant::now(),
            sent_in: None,
            stale: false,
            slot: None,
            place: None,
            contended: false,
            refusal: None,
            done: false,
            _under_way: client.attempt(),
        })
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
        // What went wrong elsewhere first still has the time for one answer.
        limit.max(Instant::now() + FIRST_ANSWER.min(timeout))
    }

    /// A wait that ends before a silent connection would be given up.
    fn short_wait(&self) -> Option<Duration> {
        self.wait()
            .filter(|wait| !wait.is_zero())
            .map(|wait| wait.max(FIRST_ANSWER))
    }

    /// When to give up on a connection that itself waits for the command time-out; `None`: leave it to the connection.
    pub(crate) fn short_limit(&self) -> Option<Instant> {
        self.short_wait()
            .filter(|wait| *wait < self.client.command_timeout)
            .map(|wait| self.started + wait)
    }

    // ---- in the caller's thread

    /// The first command, in the calling thread, if the store can do that.
    pub(crate) fn take_blocking(&mut self, interrupted: &dyn Fn() -> bool) -> Result<First> {
        if self.is_behind_own_waiters() {
            self.contend();
            return Ok(First::Undecided);
        }
        let ttl = self.request.options().ttl;
        let store = &self.client.store;
        let Some(asked) = store.take_blocking(&self.lock, &self.owner, ttl, interrupted) else {
            return Ok(First::Undecided);
        };
        self.on_first(asked)
    }

    /// What came of the first command, sent on a connection other than the shared one.
    pub(crate) fn on_first(&mut self, asked: Result<Asked, Failure>) -> Result<First> {
        match asked {
            Ok(Asked::Acquired { token, sent }) if !self.is_late(sent) => {
                Ok(First::Acquired(self.finish(token, sent)?))
            }
            Ok(Asked::Acquired { .. }) => {
                self.sent_in = Some(self.client.store.epoch());
                Ok(First::Undecided)
            }
            Ok(Asked::Held(_)) => {
                self.on_held();
                if self.wait() == Some(Duration::ZERO) {
                    self.done = true;
                    Ok(First::Held)
                } else {
                    Ok(First::Undecided)
                }
            }
            Err(failure) => {
                self.sent_in = Some(self.client.store.epoch());
                self.stale |= failure.is_unanswered();
                if failure.error.kind() == ErrorKind::Interrupted {
                    return Err(failure.error);
                }
                if !failure.is_temporary() {
                    self.refusal = Some(failure.error);
                }
                Ok(First::Undecided)
            }
        }
    }

    /// The first command is going by a connection of its own: what to send there.
    pub(crate) fn first(&mut self) -> (&LockId, &Arc<str>, Duration) {
        self.sent_in = Some(self.client.store.epoch());
        (&self.lock, &self.owner, self.request.options().ttl)
    }

    /// Whether it is to wait and others of this client do: then a take would be in vain, or unfair to them.
    pub(crate) fn is_behind_own_waiters(&self) -> bool {
        self.wait() != Some(Duration::ZERO) && self.client.room.has_line(&self.lock)
    }

    /// What to tell when someone else holds it: nothing, if it was to be tried `once`.
    pub(crate) fn held(&self, once: bool) -> Result<Option<Lease>> {
        if once {
            Ok(None)
        } else {
            Err(Error::held(&self.lock.name))
        }
    }

    /// The lock's name.
    pub(crate) fn name(&self) -> Arc<str> {
        self.lock.name.clone()
    }

    /// Whether nothing was asked yet.
    pub(crate) fn is_untried(&self) -> bool {
        !self.contended && self.sent_in.is_none()
    }

    /// Notes the runtime it goes on on.
    pub(crate) fn enter(&self) {
        self.client.enter();
    }

    /// The claim of a grant is going by a connection of its own: what to send there.
    pub(crate) fn claim(&self) -> (&LockId, &Arc<str>, Duration, Ask) {
        let ask = Ask::Queue { place: self.place };
        (&self.lock, &self.owner, self.request.options().ttl, ask)
    }

    /// What came of a claim, sent on a connection other than the shared one.
    pub(crate) fn on_claim(&mut self, asked: Result<Asked, Failure>) -> Result<First> {
        match asked {
            Ok(Asked::Acquired { token, sent }) if !self.is_late(sent) => {
                return Ok(First::Acquired(self.finish(token, sent)?));
            }
            Ok(Asked::Acquired { .. }) => {}
            Ok(Asked::Held(queued)) => self.on_queued(&queued),
            Err(failure) => {
                self.stale |= failure.is_unanswered();
                if !failure.is_temporary() {
                    self.refusal = Some(failure.error);
                }
            }
        }
        Ok(First::Undecided)
    }

    /// The wait ran out before the answer to a claim came.
    pub(crate) async fn give_up_claim(mut self) -> Result<Option<Lease>> {
        self.stale = true;
        let error = self.timed_out();
        Err(self.fail(error).await)
    }

    // ---- on the runtime

    /// Takes the lock, or waits for it as long as the request says; `None` when it was to be tried once and is held.
    pub(crate) async fn run(mut self) -> Result<Option<Lease>> {
        let driven = self.drive(false).await;
        self.end(driven).await
    }

    /// The same, but for a grant, which is not claimed here.
    pub(crate) async fn run_to_grant(mut self: Box<Self>) -> Ran {
        match self.drive(true).await {
            Ok(Driven::Granted) => Ran::Granted(self),
            driven => Ran::Over(self.end(driven).await),
        }
    }

    async fn end(&mut self, driven: Result<Driven>) -> Result<Option<Lease>> {
        match driven {
            Ok(Driven::Acquired(token, sent)) => Ok(Some(self.finish(token, sent)?)),
            Ok(Driven::Held | Driven::Granted) => {
                self.done = true;
                // An earlier command may still be on its way to the server, and find the name free.
                self.undo_later();
                Ok(None)
            }
            Err(error) => Err(self.fail(error).await),
        }
    }

    /// `to_grant`: return when the name was handed to it, for a claim elsewhere.
    async fn drive(&mut self, to_grant: bool) -> Result<Driven> {
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
                Asked::Acquired { token, sent } => return Ok(Driven::Acquired(token, sent)),
                Asked::Held(_) => self.on_held(),
            }
        }
        if self.wait() == Some(Duration::ZERO) {
            return Ok(Driven::Held);
        }
        let slot = self.enter_room()?;
        let mut limit = match self.place {
            Some(_) => self.deadline(),
            None => Some(
                self.first_deadline()
                    .min(self.deadline().unwrap_or_else(|| self.first_deadline())),
            ),
        };
        loop {
            let news = slot.take_news();
            if news & news::CLOSED != 0 {
                return Err(Error::closed());
            }
            match self.ask(Ask::Queue { place: self.place }, limit).await? {
                Asked::Acquired { token, sent } => return Ok(Driven::Acquired(token, sent)),
                Asked::Held(queued) => self.on_queued(&queued),
            }
            limit = self.deadline();
            let news = self.sleep(&slot).await?;
            if to_grant && news & news::GRANTED != 0 {
                return Ok(Driven::Granted);
            }
        }
    }

    /// Where it hears news, once it has to wait.
    fn enter_room(&mut self) -> Result<Arc<Slot>> {
        if let Some(slot) = &self.slot {
            return Ok(slot.clone());
        }
        let slot = self.client.room.enter(&self.lock, &self.owner);
        let slot = slot.ok_or_else(Error::closed)?;
        self.slot = Some(slot.clone());
        self.client.counters.waiting.add();
        Ok(slot)
    }

    /// Sleeps until there is a reason to ask again: the news, or none when it is time to look.
    async fn sleep(&self, slot: &Arc<Slot>) -> Result<u8> {
        // What came before the answer that it overtakes was read is a reason at once.
        let mut reasons = news::GRANTED | news::RECHECK | news::NEXT;
        loop {
            let look_at = self.client.room.look_at(slot);
            let deadline = self.deadline();
            let news = slot.take_news();
            if news & news::CLOSED != 0 {
                return Err(Error::closed());
            }
            if news & reasons != 0 {
                return Ok(news);
            }
            reasons = news::GRANTED | news::RECHECK;
            tokio::select! {
                () = slot.notified() => {}
                () = until(look_at) => return Ok(0),
                () = until(deadline) => return Err(self.timed_out()),
            }
        }
    }

    /// One command, repeated while its failure is temporary and `limit` has not come.
    async fn ask(&mut self, mut ask: Ask, limit: Option<Instant>) -> Result<Asked> {
        let client = self.client.clone();
        let ttl = self.request.options().ttl;
        let mut backoff = Backoff::new();
        let mut last_error = None;
        loop {
            let sent_before = self.sent_in;
            self.sent_in = sent_before.or_else(|| Some(client.store.epoch()));
            let queue = matches!(ask, Ask::Queue { .. });
            let (lock, owner) = (&self.lock, &self.owner);
            let exchange = async {
                if queue {
                    client.store.listen().await?;
                }
                client.store.ask(lock, owner, ttl, ask).await
            };
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
            if !failure.is_temporary() {
                return Err(failure.error);
            }
            let pause = backoff.next();
            if limit.is_some_and(|limit| Instant::now() + pause >= limit) {
                return Err(failure.error);
            }
            last_error = Some(failure.error);
            let pause = async {
                tokio::time::sleep(pause).await;
                Ok(())
            };
            if let Err(failure) = self.unless_closed(pause).await {
                return Err(failure.error);
            }
        }
    }

    /// `work`, ended early when the client closes.
    async fn unless_closed<T>(
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

    /// Half the TTL is the least that a lease handed to a user has left.
    fn is_late(&self, sent: Moment) -> bool {
        Moment::now().since(sent) > self.request.options().ttl / 2
    }

    // ---- how it ends

    /// The answer to a first command was that someone else holds it.
    fn on_held(&mut self) {
        if !self.stale {
            // What met a holder left nothing behind.
            self.sent_in = None;
        }
        self.contend();
    }

    /// The answer was that it waits, and where.
    fn on_queued(&mut self, queued: &Queued) {
        if let Some(slot) = &self.slot {
            self.client.room.update(slot, self.place, queued);
        }
        self.place = Some(queued.place);
    }

    fn contend(&mut self) {
        if !std::mem::replace(&mut self.contended, true) {
            self.client.counters.contended.add();
        }
    }

    fn finish(&mut self, token: u64, sent: Moment) -> Result<Lease> {
        if self.client.is_closed() {
            return Err(Error::closed());
        }
        let holding = Holding::new(
            self.lock.clone(),
            self.owner.clone(),
            &self.request,
            token,
            sent,
            self.stale,
        );
        let lease = Lease::new(self.client.clone(), Arc::new(holding));
        self.done = true;
        self.leave_room();
        Ok(lease)
    }

    /// Undoes the attempt, waiting for that if there is reason to, and says what to tell the user.
    async fn fail(&mut self, error: Error) -> Error {
        self.done = true;
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
            Some(undo) => match tokio::time::timeout(LEAVE_TIMEOUT, undo).await {
                Ok(Ok(true)) => error,
                _ => self.unanswered(),
            },
            None => error,
        }
    }

    fn timed_out(&self) -> Error {
        let waited = self.started.elapsed();
        Error::new(
            ErrorKind::LockTimeout,
            format!(
                "the lock {:?} was still held by someone else after waiting {:.3} s; \
                 wait longer, or see who holds it with inspect",
                self.request.name(),
                waited.as_secs_f64()
            ),
        )
    }

    fn unanswered(&self) -> Error {
        Error::unavailable(format!(
            "the store gave no answer while acquiring {:?} ({:.3} s); is the server reachable?",
            self.request.name(),
            self.started.elapsed().as_secs_f64()
        ))
    }

    fn leave_room(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.client.room.leave(&slot, self.place);
            self.client.counters.waiting.sub();
        }
    }

    /// Begins to undo in the background, if anything was sent: the result tells whether the store answered.
    fn undo_later(&mut self) -> Option<tokio::task::JoinHandle<bool>> {
        self.leave_room();
        let sent_in = self.sent_in.take()?;
        let ttl = self.request.options().ttl;
        let lasts = if self.contended {
            ttl.max(QUEUE_LASTS)
        } else {
            ttl
        };
        let undo = undo(
            self.client.clone(),
            self.lock.clone(),
            self.owner.clone(),
            lasts,
            sent_in,
            self.stale,
        );
        self.client.background(undo)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.done {
            self.client.counters.cancelled.add();
            self.undo_later();
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
