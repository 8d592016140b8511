//! Several locks, all or none, by calls that block.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client_calls::{BlockingCore, Client};
use crate::error::{Error, LossReason, Result};
use crate::group::{self, GroupBuilder, GroupRequest};
use crate::holding::LossHook;
use crate::state::LeaseState;

crate::options::setters! {
    /// An acquire of several locks that waits.
    #[must_use = "nothing is acquired until call()"]
    #[derive(Clone, Debug)]
    pub struct AcquireAll(GroupBuilder<Client>);
    /// An acquire of several locks that tries once.
    #[must_use = "nothing is acquired until call()"]
    #[derive(Clone, Debug)]
    pub struct TryAcquireAll(GroupBuilder<Client>);
}

impl AcquireAll {
    /// How long to wait at most, for all of them together; without it, for ever. Zero tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.0.options.wait = Some(wait);
        self
    }

    /// Acquires the locks, blocking.
    ///
    /// # Errors
    /// See [`Acquire::call`](super::Acquire::call).
    pub fn call(self) -> Result<LeaseGroup> {
        let client = self.0.client.clone();
        client.acquire_all_request(self.0.request()?)
    }
}

impl TryAcquireAll {
    /// Acquires the locks if each is free, blocking for no more than the answers.
    ///
    /// # Errors
    /// See [`Acquire::call`](super::Acquire::call); a lock that is held is `None`, not an error.
    pub fn call(self) -> Result<Option<LeaseGroup>> {
        let client = self.0.client.clone();
        client.try_acquire_all_request(self.0.request()?)
    }
}

impl Client {
    /// Acquires several locks, all or none; set options, then [`call`](AcquireAll::call). See
    /// [`Client::acquire_all`](crate::Client::acquire_all).
    ///
    /// ```no_run
    /// # fn main() -> leaselock::Result<()> {
    /// let client = leaselock::blocking::Client::new("redis://localhost")?;
    /// let both = client.acquire_all(["account:7", "account:4"]).call()?;
    /// // ... move the money, with both.tokens() ...
    /// both.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_all(&self, names: impl IntoIterator<Item: Into<String>>) -> AcquireAll {
        AcquireAll(GroupBuilder::new(self, names))
    }

    /// Acquires several locks if each is free; set options, then [`call`](TryAcquireAll::call). See
    /// [`Client::try_acquire_all`](crate::Client::try_acquire_all).
    pub fn try_acquire_all(&self, names: impl IntoIterator<Item: Into<String>>) -> TryAcquireAll {
        TryAcquireAll(GroupBuilder::new(self, names))
    }

    /// [`acquire_all`](Self::acquire_all) with a request made beforehand.
    ///
    /// # Errors
    /// See [`Acquire::call`](super::Acquire::call).
    pub fn acquire_all_request(&self, request: GroupRequest) -> Result<LeaseGroup> {
        let client = self.async_client();
        let acquired = self.wait_for(async move { client.acquire_all_request(request).await });
        acquired.map(|group| self.adopt_group(group))
    }

    /// [`try_acquire_all`](Self::try_acquire_all) with a request made beforehand, whose `wait` is not used.
    ///
    /// # Errors
    /// See [`Acquire::call`](super::Acquire::call).
    pub fn try_acquire_all_request(&self, request: GroupRequest) -> Result<Option<LeaseGroup>> {
        let client = self.async_client();
        let acquired = self.wait_for(async move { client.try_acquire_all_request(request).await });
        Ok(acquired?.map(|group| self.adopt_group(group)))
    }

    /// A group of [`async_client`](Self::async_client) as one of this client.
    #[doc(hidden)]
    #[must_use]
    pub fn adopt_group(&self, group: group::LeaseGroup) -> LeaseGroup {
        LeaseGroup {
            group: Arc::new(group),
            inner: self.core(),
        }
    }
}

/// Several locks that are held together, until the first of their leases is over; see [`LeaseGroup`](crate::LeaseGroup). Usable
/// from any thread.
pub struct LeaseGroup {
    group: Arc<group::LeaseGroup>,
    inner: Arc<BlockingCore>,
}

impl LeaseGroup {
    /// The names, in the order in which they were taken: that of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.group.names()
    }

    /// The fencing token of each lock, by name.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<&str, u64> {
        self.group.tokens()
    }

    /// The owner string of each lock, by name: what the store has for it.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<&str, &str> {
        self.group.owners()
    }

    /// The TTL that renewals set.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.group.ttl()
    }

    /// Time to the first local deadline; zero when the group is over.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.group.expires_in()
    }

    /// What the group is now: lost with the first member, unsure while one of them is.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.group.state()
    }

    /// Whether all the locks are held now, as far as can be known without asking the store.
    #[must_use]
    pub fn held(&self) -> bool {
        self.group.held()
    }

    /// Fails unless all the locks are held.
    ///
    /// # Errors
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost), which names the lock that was lost first.
    pub fn check(&self) -> Result<()> {
        self.group.check()
    }

    /// Why the first member was lost, if one was.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.group.loss_reason()
    }

    /// The error of having lost the group on the way, for the end of a scope.
    #[doc(hidden)]
    #[must_use]
    pub fn lost_error(&self) -> Option<Error> {
        self.group.lost_error()
    }

    /// Calls `hook` once when the group is lost; see [`LeaseGroup::on_lost`](crate::LeaseGroup::on_lost).
    pub fn on_lost(&self, hook: LossHook) {
        self.group.on_lost(hook);
    }

    /// Waits until the group is over; see [`LeaseGroup::wait_lost`](crate::LeaseGroup::wait_lost).
    ///
    /// # Errors
    /// Only when the client's interrupt hook ends the wait.
    pub fn wait_lost(&self, timeout: Option<Duration>) -> Result<bool> {
        let group = self.group.clone();
        self.inner
            .runtime
            .wait_for(async move { Ok(group.wait_lost(timeout).await) })
    }

    /// Makes each lease end exactly `ttl` from now; see [`LeaseGroup::extend`](crate::LeaseGroup::extend).
    ///
    /// # Errors
    /// See [`LeaseGroup::extend`](crate::LeaseGroup::extend).
    pub fn extend(&self, ttl: Option<Duration>) -> Result<()> {
        let group = self.group.clone();
        self.inner
            .runtime
            .wait_for(async move { group.extend(ttl).await })
    }

    /// Gives all the locks back; see [`LeaseGroup::release`](crate::LeaseGroup::release).
    ///
    /// # Errors
    /// See [`LeaseGroup::release`](crate::LeaseGroup::release).
    pub fn release(&self) -> Result<bool> {
        let group = self.group.clone();
        self.inner
            .runtime
            .wait_for(async move { group.release().await })
    }
}

impl AsRef<group::LeaseGroup> for LeaseGroup {
    fn as_ref(&self) -> &group::LeaseGroup {
        &self.group
    }
}

impl fmt::Debug for LeaseGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.group, f)
    }
}
