//! A lease in its holder's hands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::error::{Error, LossReason, Result};
use crate::holding::{GiveBack, Holding, LossHook};
use crate::keeper::renew_timeout;
use crate::name::LockId;
use crate::releasing::{Begun, Turn};
use crate::shared::ClientCore;
use crate::state::LeaseState;
use crate::store::{Failure, Ownership};

/// A lock that is held, until its time runs out.
///
/// Dropping it gives the lock back: the command is sent before the drop returns, if the connection is there, and seen to in
/// the background. [`release`](Self::release) does so and waits for the answer. It is
/// renewed by its client, unless that was turned off. Whether it is still held is known without asking anyone:
/// [`held`](Self::held) turns false at a deadline that lies before the server's.
///
/// ```no_run
/// # async fn example() -> leaselock::Result<()> {
/// let client = leaselock::Client::new("redis://localhost")?;
/// let lease = client.acquire("orders").await?;
/// println!("fencing token {}", lease.token());
/// lease.release().await?;
/// # Ok(())
/// # }
/// ```
pub struct Lease {
    pub(crate) client: Arc<ClientCore>,
    pub(crate) holding: Arc<Holding>,
    id: u64,
}

impl Lease {
    pub(crate) fn new(client: Arc<ClientCore>, holding: Arc<Holding>) -> Self {
        client.counters.acquired.add();
        client.counters.held.add();
        let id = client.keeper.add(&client, holding.clone());
        Self {
            client,
            holding,
            id,
        }
    }

    /// Has it renewed at once.
    pub(crate) fn renew_now(&self) {
        self.client.keeper.renew_now(self.id);
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.holding.claim.lock.name()
    }

    /// The owner string that the store has for the lock: unique to this lease.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.holding.claim.owner
    }

    /// The fencing token: larger than that of every earlier lease on this name. Below 2^53.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.holding.token
    }

    /// The TTL that renewals set.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.holding.ttl()
    }

    /// Time to the local deadline; zero when the lease is over.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.holding.expires_in()
    }

    /// What the lease is now.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.holding.state()
    }

    /// Whether the lock is held now, as far as can be known without asking the store.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self.state(), LeaseState::Held | LeaseState::Unsure)
    }

    /// Fails unless the lock is held.
    ///
    /// # Errors
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost).
    pub fn check(&self) -> Result<()> {
        self.holding.not_held().map_or(Ok(()), Err)
    }

    /// Why the lease was lost, if it was.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.holding.loss()
    }

    /// The error of having lost the lease on the way, for the end of a scope.
    #[doc(hidden)]
    #[must_use]
    pub fn lost_error(&self) -> Option<Error> {
        self.holding.loss_error()
    }

    /// Whether dropping the lease has nothing to give back.
    #[doc(hidden)]
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.holding.is_settled()
    }

    /// Calls `hook` once when the lease is lost, at once if it is, and never for a release. It runs on the client's
    /// runtime and must not block.
    pub fn on_lost(&self, hook: LossHook) {
        self.holding.on_lost(hook);
    }

    /// Completes when the lease is lost, at once if it is; never after a release.
    pub async fn lost(&self) -> LossReason {
        loop {
            self.over().await;
            match self.holding.loss() {
                Some(reason) => return reason,
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until the lease is over, at most for `timeout`; whether it was lost. `false` when the time ran out first, or
    /// when the lease was released.
    pub async fn wait_lost(&self, timeout: Option<Duration>) -> bool {
        match timeout {
            Some(timeout) => {
                let _ = tokio::time::timeout(timeout, self.over()).await;
            }
            None => self.over().await,
        }
        self.loss_reason().is_some()
    }

    /// Completes when the lease is lost or released.
    pub(crate) async fn over(&self) {
        loop {
            let changed = self.holding.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.held() {
                return;
            }
            match self.holding.unwatched_end() {
                Some(end) => {
                    let _ = tokio::time::timeout(end, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Makes the lease end exactly `ttl` from now, or its own TTL when `None`, and renewals set that from now on. The
    /// local deadline shrinks before anything is sent.
    ///
    /// # Errors
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost) when it is not held any more,
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a TTL out of range or past `max_hold`,
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) and
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused); then the lease ends at the earlier of both deadlines.
    pub async fn extend(&self, ttl: Option<Duration>) -> Result<()> {
        let ttl = self.begin_extend(ttl).await?;
        let mut turn = Extending {
            lease: self,
            ttl,
            sent: Moment::now(),
            over: false,
        };
        let limit = Instant::now() + self.client.command_timeout;
        let mut backoff = Backoff::new();
        loop {
            turn.sent = Moment::now();
            let failure = match self.renew_once(ttl).await {
                Ok(ownership) => {
                    turn.finish(Some(ownership));
                    if ownership.is_mine() {
                        self.client.on_renewed(&self.holding);
                    }
                    // Lost, or over before the answer came.
                    return self.check();
                }
                Err(failure) => failure,
            };
            self.client.on_renew_failed(&self.holding);
            if failure.is_unanswered() {
                let timeout = self.client.command_timeout;
                self.holding.unanswered_extend(ttl, timeout);
            }
            let pause = backoff.next();
            if !failure.is_temporary() || !self.held() || Instant::now() + pause >= limit {
                turn.finish(None);
                self.check()?;
                return Err(failure.error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn begin_extend(&self, ttl: Option<Duration>) -> Result<Duration> {
        loop {
            let changed = self.holding.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(ttl) = self.holding.begin_extend(ttl)? {
                return Ok(ttl);
            }
            changed.await;
        }
    }

    async fn renew_once(&self, ttl: Duration) -> Result<Ownership, Failure> {
        let timeout = renew_timeout(self.client.command_timeout, ttl);
        self.client.renew(&self.holding, ttl, timeout).await
    }

    /// Gives the lock back. `true` when this lease gave it back, also when asked again; `false` when it had already
    /// gone. From the call on it is not held, whatever comes of it.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) and
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused); it may be tried again, and else the lock is free when its TTL ends.
    pub async fn release(&self) -> Result<bool> {
        loop {
            let changed = self.holding.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.begin_release() {
                Begun::Known(gave_back) => return Ok(gave_back),
                Begun::Busy => changed.await,
                Begun::Turn(turn) => return turn.send(false).await,
            }
        }
    }

    pub(crate) fn lock(&self) -> &LockId {
        &self.holding.claim.lock
    }

    /// Begins a release: from here on the lease is not held.
    pub(crate) fn begin_release(&self) -> Begun {
        let begun = self.holding.begin_release();
        self.leave_keeper();
        match begun {
            GiveBack::Known(gave_back) => Begun::Known(gave_back),
            GiveBack::Busy => Begun::Busy,
            GiveBack::Send => Begun::Turn(Turn::new(&self.client, &self.holding)),
        }
    }

    /// Stops renewing and leaves the name to its TTL, for a release with [`owner`](Self::owner) elsewhere. Dropping the
    /// lease no longer gives it back. One that has just been handed over gets its TTL in the background, for which the
    /// runtime has to run on for a moment.
    pub fn detach(&self) {
        if self.holding.detach() {
            self.client.store.left_behind(&self.holding.claim.lock);
            self.leave_keeper();
            if self.holding.held_briefly() {
                self.client.set_ttl(&self.holding);
            }
        }
    }

    /// Completes when the store has the TTL of a detached lease, which for one that has just been handed over is a moment
    /// after [`detach`](Self::detach).
    #[doc(hidden)]
    pub async fn detached(&self) {
        loop {
            let changed = self.holding.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.holding.held_briefly() {
                return;
            }
            let _ = tokio::time::timeout(self.expires_in(), changed).await;
        }
    }

    /// Gives the lock back in the background, unless there is nothing to give back.
    pub(crate) fn give_back(&self) {
        if self.holding.is_settled() {
            self.leave_keeper();
        } else if let Begun::Turn(turn) = self.begin_release() {
            // Nobody waits for it: it goes on in the background.
            drop(turn);
        }
    }

    pub(crate) fn leave_keeper(&self) {
        if self.client.keeper.remove(self.id) {
            self.client.on_ended(&self.holding);
        }
    }
}

/// The turn of one extension, which ends however the future of [`Lease::extend`] does.
struct Extending<'a> {
    lease: &'a Lease,
    ttl: Duration,
    sent: Moment,
    over: bool,
}

impl Extending<'_> {
    fn finish(&mut self, outcome: Option<Ownership>) {
        self.over = true;
        let lease = self.lease;
        match lease.holding.end_extend(self.sent, self.ttl, outcome) {
            Some(due) => lease.client.keeper.reschedule(lease.id, due),
            None => {
                if !lease.held() {
                    lease.leave_keeper();
                    // It ran out meanwhile, and the store may have it for longer since.
                    if lease.state() == LeaseState::Lost && outcome.is_none_or(Ownership::is_mine) {
                        lease.client.let_go(&lease.holding);
                    }
                }
            }
        }
    }
}

impl Drop for Extending<'_> {
    fn drop(&mut self) {
        if !self.over {
            let timeout = self.lease.client.command_timeout;
            self.lease.holding.unanswered_extend(self.ttl, timeout);
            self.finish(None);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name())
            .field("owner", &self.owner())
            .field("token", &self.token())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
