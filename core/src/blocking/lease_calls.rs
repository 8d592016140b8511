//! A lease in the hands of a caller who blocks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client_calls::BlockingCore;
use crate::error::{Error, LossReason, Result};
use crate::holding::LossHook;
use crate::lease;
use crate::releasing::{Answered, Begun};
use crate::state::LeaseState;

/// A lock that is held, until its time runs out; see [`Lease`](crate::Lease). Usable from any thread.
pub struct Lease {
    lease: Arc<lease::Lease>,
    inner: Arc<BlockingCore>,
}

impl Lease {
    pub(super) fn new(inner: Arc<BlockingCore>, lease: lease::Lease) -> Self {
        Self {
            lease: Arc::new(lease),
            inner,
        }
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.lease.name()
    }

    /// The owner string that the store has for the lock: unique to this lease.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.lease.owner()
    }

    /// The fencing token: larger than that of every earlier lease on this name. Below 2^53.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.lease.token()
    }

    /// The TTL that renewals set.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.lease.ttl()
    }

    /// Time to the local deadline; zero when the lease is over.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.lease.expires_in()
    }

    /// What the lease is now.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.lease.state()
    }

    /// Whether the lock is held now, as far as can be known without asking the store.
    #[must_use]
    pub fn held(&self) -> bool {
        self.lease.held()
    }

    /// Fails unless the lock is held.
    ///
    /// # Errors
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost).
    pub fn check(&self) -> Result<()> {
        self.lease.check()
    }

    /// Why the lease was lost, if it was.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.lease.loss_reason()
    }

    /// The error of having lost the lease on the way, for the end of a scope.
    #[doc(hidden)]
    #[must_use]
    pub fn lost_error(&self) -> Option<Error> {
        self.lease.lost_error()
    }

    /// Whether dropping the lease has nothing to give back.
    #[doc(hidden)]
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lease.is_settled()
    }

    /// Calls `hook` once when the lease is lost; see [`Lease::on_lost`](crate::Lease::on_lost).
    pub fn on_lost(&self, hook: LossHook) {
        self.lease.on_lost(hook);
    }

    /// Waits until the lease is over; see [`Lease::wait_lost`](crate::Lease::wait_lost).
    ///
    /// # Errors
    /// Only when the client's interrupt hook ends the wait.
    pub fn wait_lost(&self, timeout: Option<Duration>) -> Result<bool> {
        let lease = self.lease.clone();
        self.inner
            .runtime
            .wait_for(async move { Ok(lease.wait_lost(timeout).await) })
    }

    /// Makes the lease end exactly `ttl` from now; see [`Lease::extend`](crate::Lease::extend).
    ///
    /// # Errors
    /// See [`Lease::extend`](crate::Lease::extend).
    pub fn extend(&self, ttl: Option<Duration>) -> Result<()> {
        let lease = self.lease.clone();
        self.inner
            .runtime
            .wait_for(async move { lease.extend(ttl).await })
    }

    /// Gives the lock back; see [`Lease::release`](crate::Lease::release).
    ///
    /// # Errors
    /// See [`Lease::release`](crate::Lease::release).
    pub fn release(&self) -> Result<bool> {
        let runtime = &self.inner.runtime;
        runtime.check_process()?;
        let mut turn = match self.lease.begin_release() {
            Begun::Known(gave_back) => return Ok(gave_back),
            Begun::Busy => {
                let lease = self.lease.clone();
                return runtime.wait_for(async move { lease.release().await });
            }
            Begun::Turn(turn) => turn,
        };
        if let Some(answer) = turn.send_blocking(&|| runtime.interrupted()) {
            return match turn.answered(answer) {
                Answered::Done(result) => result,
                Answered::Again { turn, unanswered } => runtime.wait_for(turn.send(unanswered)),
            };
        }
        let result = runtime.wait_for(turn.send(false));
        self.inner.open_connection(self.lease.lock().clone());
        result
    }

    /// Stops renewing and leaves the name to its TTL; see [`Lease::detach`](crate::Lease::detach). Of a lease that has just
    /// been handed over it waits until the store has that TTL, 2 s at most, or until the client's interrupt hook ends the
    /// wait.
    pub fn detach(&self) {
        let _ = self.detach_or_interrupted();
    }

    /// [`detach`](Self::detach), telling of an interrupt: the lease is detached all the same.
    ///
    /// # Errors
    /// Only when the client's interrupt hook ends the wait.
    #[doc(hidden)]
    pub fn detach_or_interrupted(&self) -> Result<()> {
        self.lease.detach();
        if !self.lease.holding.held_briefly() {
            return Ok(());
        }
        let lease = self.lease.clone();
        let detached = async move { lease.detached().await };
        self.inner.runtime.wait_through(detached)
    }
}

impl AsRef<lease::Lease> for Lease {
    fn as_ref(&self) -> &lease::Lease {
        &self.lease
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lease, f)
    }
}
