//! What every handle of one client shares: its store, its leases and waiters, its background work.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::access::ServerAccess;
use crate::backoff::Backoff;
use crate::claim::Claim;
use crate::clock::Moment;
use crate::environment;
use crate::error::{Error, LossReason, Result};
use crate::holding::Holding;
use crate::keeper::{Keeper, renew_timeout};
use crate::limit::Limit;
use crate::name::fresh_client_id;
use crate::neighbours;
use crate::observe::{LockEventKind, Observer};
use crate::released::Released;
use crate::releasing::{give_back_again, release_in_background};
use crate::seeded::{Bug, is_seeded};
use crate::state::LeaseState;
use crate::stats::Counters;
use crate::store::{
    self, AtOnce, BoxFuture, Event, Failure, Host, Ownership, Releaser, Renewal, Store,
};
use crate::undo;
use crate::waiting::WaitingRoom;

/// How long an acquire whose wait ran out stays to see itself out of the queue before it reports, and how long a client
/// that closes waits for its acquires.
pub(crate) const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Checked settings of a client.
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) access: ServerAccess,
    pub(crate) app_id: String,
    pub(crate) command_timeout: Duration,
    pub(crate) runtime: Option<Handle>,
    /// See [`ClientCore::dedicated_runtime`].
    pub(crate) dedicated_runtime: bool,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// The one core of a client, which all its handles share.
pub(crate) struct ClientCore {
    pub(crate) store: Box<dyn Store>,
    pub(crate) app_id: Arc<str>,
    pub(crate) client_id: Arc<str>,
    pub(crate) command_timeout: Duration,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) room: WaitingRoom,
    pub(crate) counters: Counters,
    /// See [`Store::may_be_succeeded`].
    pub(crate) released: Option<Released>,
    runtime: OnceLock<Handle>,
    /// Whether the code of lease holders runs outside the client's runtime, and so cannot block it. Only then are leases
    /// renewed in time whatever their holders do, and a lease may begin with no more than the claim window of its grant.
    pub(crate) dedicated_runtime: bool,
    /// Who is told what happens.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    closed: CancellationToken,
    jobs: TaskTracker,
    attempts: TaskTracker,
    /// How many background jobs ended without an answer from the store.
    undelivered: AtomicU64,
}

impl ClientCore {
    pub(crate) fn new(settings: Settings) -> Result<Arc<Self>> {
        let client_id: Arc<str> = fresh_client_id().into();
        let this = Arc::new(OnceLock::<Weak<Self>>::new());
        let listener = {
            let this = this.clone();
            Arc::new(move |event: Event| {
                if let Some(inner) = this.get().and_then(Weak::upgrade) {
                    inner.on_event(event);
                }
            })
        };
        let spawn = {
            let this = this.clone();
            Arc::new(move |task: BoxFuture<'static, ()>| {
                if let Some(inner) = this.get().and_then(Weak::upgrade) {
                    inner.spawn(task);
                }
            })
        };
        let store = store::open(
            &settings.url,
            settings.access,
            client_id.clone(),
            settings.command_timeout,
            Host { listener, spawn },
        )?;
        let released = store.may_be_succeeded().then(Released::default);
        let keeper = Keeper::new();
        neighbours::add(&keeper);
        let inner = Arc::new(Self {
            store,
            app_id: settings.app_id.into(),
            client_id,
            command_timeout: settings.command_timeout,
            keeper,
            room: WaitingRoom::default(),
            counters: Counters::default(),
            released,
            runtime: settings.runtime.map_or_else(OnceLock::new, OnceLock::from),
            dedicated_runtime: settings.dedicated_runtime,
            observer: settings.observer,
            closed: CancellationToken::new(),
            jobs: TaskTracker::new(),
            attempts: TaskTracker::new(),
            undelivered: AtomicU64::new(0),
        });
        let _ = this.set(Arc::downgrade(&inner));
        Ok(inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Completes when the client begins to close.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + '_ {
        self.closed.cancelled()
    }

    /// Makes the current runtime the client's, if the client has none yet: background work goes there.
    pub(crate) fn enter(&self) {
        self.runtime.get_or_init(Handle::current);
    }

    /// Runs a task of the client itself, which ends when the client does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            runtime.spawn(environment::task(task));
        }
    }

    /// Runs a job that closing the client waits for; `None` without a runtime, where nothing was ever sent.
    pub(crate) fn background(
        self: &Arc<Self>,
        job: impl Future<Output = bool> + Send + 'static,
    ) -> Option<JoinHandle<bool>> {
        let runtime = self.runtime.get()?;
        let client = self.clone();
        let job = async move {
            let answered = job.await;
            if !answered {
                client.undelivered.fetch_add(1, Ordering::Relaxed);
            }
            answered
        };
        Some(self.jobs.spawn_on(environment::task(job), runtime))
    }

    /// A token that an acquire holds while it is under way: a client that closes waits for all of them.
    pub(crate) fn attempt(&self) -> TaskTrackerToken {
        self.attempts.token()
    }

    /// Completes when no background job is left.
    pub(crate) async fn settled(&self) {
        self.jobs.close();
        self.jobs.wait().await;
    }

    /// Gives back every lease, sends every waiter home, and ends every connection.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        self.enter();
        self.refuse();
        if self.finish_closing().await {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "the client is closed, but the store did not answer within {:?}: leases not given back end with their ttl",
            self.command_timeout
        )))
    }

    /// Closes the client for whatever is new.
    pub(crate) fn refuse(&self) {
        self.closed.cancel();
    }

    /// Closes the client for whatever is new; the runtime on which to finish that, if there is anything to give back.
    pub(crate) fn close_at_end(&self) -> Option<Handle> {
        self.refuse();
        // In this order: an acquire that has not seen the refusal becomes a lease before it is over.
        let idle = self.attempts.is_empty() && self.keeper.is_empty() && self.jobs.is_empty();
        if idle {
            return None;
        }
        self.runtime.get().cloned()
    }

    /// Finishes what [`refuse`](Self::refuse) began; whether the store answered all of it.
    pub(crate) async fn finish_closing(self: &Arc<Self>) -> bool {
        let undelivered = self.undelivered.load(Ordering::Relaxed);
        self.room.close();
        self.give_back_all();
        let limit = Instant::now() + self.command_timeout;
        // Acquires under way notice, and leave their undoing to a job. One that nobody polls is not waited for.
        self.attempts.close();
        let patience = limit.min(Instant::now() + LEAVE_TIMEOUT);
        let _ = tokio::time::timeout_at(patience, self.attempts.wait()).await;
        // One that did not notice in time has become a lease.
        self.give_back_all();
        let settled = tokio::time::timeout_at(limit, self.settled()).await;
        self.keeper.stop();
        self.store.close();
        settled.is_ok() && self.undelivered.load(Ordering::Relaxed) == undelivered
    }

    /// Gives back every lease that the keeper is in charge of, in the background.
    fn give_back_all(self: &Arc<Self>) {
        for (id, holding) in self.keeper.all() {
            if self.keeper.remove(id) {
                release_in_background(self, &holding);
            }
        }
    }

    fn on_event(self: &Arc<Self>, event: Event) {
        if let Event::Reset { scope, is_new } = &event
            && *is_new
            && !is_seeded(Bug::RenewedWhenDue)
        {
            // Whether the new connection's server has them is to be known now, and not when they are next due.
            self.keeper.renew_all(scope);
        }
        match &event {
            Event::Touched { lock } => self.keeper.on_touched(lock),
            Event::Flushed { scope } => self.keeper.on_flushed(scope),
            Event::Succeeded { scope } => {
                self.background(give_back_again(self.clone(), scope.clone()));
            }
            _ => {}
        }
        if self.room.on_event(&event) {
            return;
        }
        // A grant for a waiter that has gone: hand it on now rather than when its claim window ends. An acquire that
        // has just turned into a lease needs no grant any more, and keeps the name. Where news can be read long after the
        // claim, nothing is handed on: there, whoever gave up has been undone already.
        if let Event::Granted { lock, owner, .. } = event
            && self.store.may_be_late()
            && !self.keeper.holds(&owner)
        {
            let client = self.clone();
            self.background(async move {
                // Who was granted the name has left the queue, and what it asked for there does not matter any more.
                let releaser = Releaser::Own(Claim::of(lock, owner, Limit::EXCLUSIVE));
                client.store.release(releaser).await.is_ok()
            });
        }
    }

    /// Releases in the store a lease that is lost here, and may live on there, or begin anew by what was left on a broken connection.
    pub(crate) fn let_go(self: &Arc<Self>, holding: &Arc<Holding>) {
        let (client, claim) = (self.clone(), holding.claim.clone());
        let (lasts, sent_in) = (holding.may_last(), self.store.standing(&claim.lock));
        let undone = undo::undo(client, claim, lasts, sent_in, holding.stale, AtOnce::Unsent);
        self.background(undone);
    }

    /// Sends a release for a caller after whom perhaps nothing runs any more, where the store can do that.
    pub(crate) fn release_at_once(&self, claim: &Arc<Claim>) -> AtOnce {
        let quick = self.store.quick();
        quick.map_or(AtOnce::Unsent, |quick| quick.release_at_once(claim))
    }

    /// Extends one lease, once.
    pub(crate) async fn renew(
        &self,
        holding: &Holding,
        ttl: Duration,
        timeout: Duration,
    ) -> Result<Ownership, Failure> {
        self.renew_one(holding.renewal(ttl, true), timeout).await
    }

    /// Makes a lease that is known by its claim alone end `ttl` from now.
    pub(crate) async fn extend(
        &self,
        claim: &Arc<Claim>,
        ttl: Duration,
    ) -> Result<Ownership, Failure> {
        let renewal = Renewal {
            claim: claim.clone(),
            ttl,
            may_shorten: true,
        };
        self.renew_one(renewal, renew_timeout(self.command_timeout, ttl))
            .await
    }

    async fn renew_one(&self, renewal: Renewal, timeout: Duration) -> Result<Ownership, Failure> {
        let mut renewed = self.store.renew(&[renewal], timeout).await?;
        renewed.results.pop().unwrap_or_else(|| {
            let error = Error::unavailable("the store gave no answer to a renewal");
            Err(Failure::unanswered(error))
        })
    }

    /// Sets the TTL of a detached lease that so far lasts for its claim window only.
    pub(crate) fn set_ttl(self: &Arc<Self>, holding: &Arc<Holding>) {
        let (client, holding) = (self.clone(), holding.clone());
        self.background(async move {
            let timeout = renew_timeout(client.command_timeout, holding.expires_in());
            let mut backoff = Backoff::new();
            while holding.held_briefly() {
                let changed = holding.changed();
                let ttl = match holding.begin_extend(None) {
                    Ok(Some(ttl)) => ttl,
                    // Somebody else sets it.
                    Ok(None) => {
                        let _ = tokio::time::timeout(holding.expires_in(), changed).await;
                        continue;
                    }
                    Err(_) => return true,
                };
                let sent = Moment::now();
                let ownership = client.renew(&holding, ttl, timeout).await.ok();
                holding.end_detach(sent, ttl, ownership);
                if ownership.is_some() {
                    return true;
                }
                tokio::time::sleep(backoff.next()).await;
            }
            false
        });
    }

    /// A lease was renewed, or extended.
    pub(crate) fn on_renewed(&self, holding: &Holding) {
        self.counters.renewals.add();
        let token = holding.token;
        self.tell(&holding.claim, holding.context.as_ref(), || {
            LockEventKind::Renewed { token }
        });
    }

    /// A renewal or an extension failed, of which the lease does not know yet.
    pub(crate) fn on_renew_failed(&self, holding: &Holding) {
        self.counters.renew_failures.add();
        if holding.state() == LeaseState::Held {
            let token = holding.token;
            self.tell(&holding.claim, holding.context.as_ref(), || {
                LockEventKind::Unsure { token }
            });
        }
    }

    /// The keeper let go of a lease.
    pub(crate) fn on_ended(self: &Arc<Self>, holding: &Arc<Holding>) {
        self.counters.held.sub();
        // It may have run out with nobody looking: this looks.
        let is_lost = holding.state() == LeaseState::Lost;
        if holding.may_outlive_its_loss() {
            self.let_go(holding);
        }
        if is_lost {
            self.store.left_behind(&holding.claim.lock);
            self.counters.lost.add();
            let reason = holding.loss();
            self.tell_end(holding, |token, held| LockEventKind::Lost {
                token,
                held,
                reason: reason.unwrap_or(LossReason::Expired),
            });
            tracing::warn!(
                target: "leaselock",
                event = "lost",
                client = %self.client_id,
                app_id = %self.app_id,
                name = %holding.claim.lock.name(),
                owner = %holding.claim.owner,
                token = holding.token,
                reason = %reason.map_or("", |reason| reason.as_str()),
                "a lease was lost"
            );
        } else if holding.is_detached() {
            self.tell_end(holding, |token, held| LockEventKind::Detached {
                token,
                held,
            });
        }
    }

    /// One command, repeated while its failure is temporary, at most for the command time-out. The flag tells whether an
    /// earlier attempt went unanswered, and so may have been carried out.
    pub(crate) async fn retrying<'a, T, F>(&'a self, command: impl Fn() -> F) -> Result<(T, bool)>
    where
        F: Future<Output = Result<T, Failure>> + 'a,
    {
        if self.is_closed() {
            return Err(Error::closed());
        }
        self.enter();
        let mut unanswered = false;
        let limit = Instant::now() + self.command_timeout;
        let value = self.repeat(limit, &mut unanswered, command).await?;
        Ok((value, unanswered))
    }

    /// One command, repeated as [`retrying`](Self::retrying) does, until `limit`, also for a client that is closing. `unanswered` is set
    /// when an attempt goes unanswered.
    pub(crate) async fn repeat<'a, T, F>(
        &'a self,
        limit: Instant,
        unanswered: &mut bool,
        mut command: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>> + 'a,
    {
        let mut backoff = Backoff::new();
        loop {
            let failure = match command().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            *unanswered |= failure.is_unanswered();
            let pause = backoff.next();
            if !failure.is_temporary() || Instant::now() + pause >= limit {
                return Err(failure.error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Drop for ClientCore {
    fn drop(&mut self) {
        self.keeper.stop();
        self.store.close();
    }
}
