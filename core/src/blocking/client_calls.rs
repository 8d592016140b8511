//! The blocking client.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::lease_calls::Lease;
use super::runtime::{Interrupt, Place, Runtime};
use crate::acquire::{Attempt, First};
use crate::error::{Error, Result};
use crate::lock_info::{ExtendStatus, LockInfo, ReleaseStatus};
use crate::name::LockId;
use crate::options::{AcquireBuilder, Request};
use crate::shared::ClientCore;
use crate::stats::Stats;
use crate::store::Quick;
use crate::{client, listing};

/// The one core of a blocking client, which all its handles and leases share.
pub(super) struct BlockingCore {
    pub(super) client: client::Client,
    pub(super) runtime: Runtime,
}

impl BlockingCore {
    /// Opens one more connection for calls in their caller's thread, in the background.
    pub(super) fn open_connection(&self, lock: LockId) {
        let quick = self.client.inner.store.quick();
        if !quick.is_some_and(Quick::has_own_connections) {
            return;
        }
        if let Ok(handle) = self.runtime.handle() {
            let inner = self.client.inner.clone();
            handle.spawn(async move {
                if let Some(quick) = inner.store.quick() {
                    quick.open_blocking(lock).await;
                }
            });
        }
    }
}

impl Drop for BlockingCore {
    fn drop(&mut self) {
        let client = self.client.clone();
        self.runtime.stop(async move {
            let timeout = client.inner.command_timeout;
            let _ = tokio::time::timeout(timeout, client.settled()).await;
        });
    }
}

/// A [`Client`](crate::Client) whose calls block. Cheap to clone, and usable from any thread.
///
/// ```no_run
/// # fn main() -> leaselock::Result<()> {
/// let client = leaselock::blocking::Client::new("redis://localhost")?;
/// let lease = client.acquire("orders").call()?;
/// println!("fencing token {}", lease.token());
/// lease.release()?;
/// # Ok(())
/// # }
/// ```
///
/// It belongs to the process that made it: in a child of a fork its calls fail as
/// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable), and say so. Make another one there, and leave the inherited
/// client and its leases alone; dropping one may block.
#[derive(Clone)]
pub struct Client {
    inner: Arc<BlockingCore>,
}

impl Client {
    pub(crate) fn from_core(
        core: Arc<ClientCore>,
        place: Option<Place>,
        interrupt: Option<Interrupt>,
    ) -> Self {
        Self {
            inner: Arc::new(BlockingCore {
                client: client::Client::from_inner(core),
                runtime: Runtime::new(place, interrupt),
            }),
        }
    }

    /// Acquires the lock `name`, waiting in line for it; set options, then [`call`](Acquire::call).
    pub fn acquire(&self, name: impl Into<String>) -> Acquire {
        Acquire(AcquireBuilder::new(self, name.into()))
    }

    /// Acquires the lock `name` if it is free; set options, then [`call`](TryAcquire::call).
    pub fn try_acquire(&self, name: impl Into<String>) -> TryAcquire {
        TryAcquire(AcquireBuilder::new(self, name.into()))
    }

    /// [`acquire`](Self::acquire) with a request made beforehand.
    ///
    /// # Errors
    /// See [`Acquire::call`].
    pub fn acquire_request(&self, request: Request) -> Result<Lease> {
        let name = request.name().to_owned();
        self.run(request)?.ok_or_else(|| Error::held(&name))
    }

    /// [`try_acquire`](Self::try_acquire) with a request made beforehand, whose `wait` is not used.
    ///
    /// # Errors
    /// See [`Acquire::call`].
    pub fn try_acquire_request(&self, request: Request) -> Result<Option<Lease>> {
        self.run(request.without_wait())
    }

    fn run(&self, request: Request) -> Result<Option<Lease>> {
        let runtime = &self.inner.runtime;
        runtime.check_process()?;
        let mut attempt = Attempt::new(&self.inner.client.inner, request)?;
        let lease = match attempt.take_blocking(&|| runtime.interrupted())? {
            First::Acquired(lease) => Some(lease),
            First::Held => None,
            First::Undecided => {
                let unconnected = attempt.is_untried().then(|| attempt.lock());
                let lease = runtime.wait_for(async move {
                    attempt.enter();
                    attempt.run().await
                })?;
                if let Some(lock) = unconnected {
                    self.inner.open_connection(lock);
                }
                lease
            }
        };
        Ok(lease.map(|lease| Lease::new(self.inner.clone(), lease)))
    }

    /// Gives the lock back for `owner`, from any process. It touches no waiter.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn release(&self, name: &str, owner: &str) -> Result<ReleaseStatus> {
        let (client, name, owner) = (self.async_client(), name.to_owned(), owner.to_owned());
        self.inner
            .runtime
            .wait_for(async move { client.release(&name, &owner).await })
    }

    /// Makes the lease of `owner` end exactly `ttl` from now, from any process; see [`Client::extend`](crate::Client::extend).
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn extend(&self, name: &str, owner: &str, ttl: Duration) -> Result<ExtendStatus> {
        let (client, name, owner) = (self.async_client(), name.to_owned(), owner.to_owned());
        self.inner
            .runtime
            .wait_for(async move { client.extend(&name, &owner, ttl).await })
    }

    /// Breaks the lock, whoever holds it; see [`Client::force_release`](crate::Client::force_release).
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn force_release(&self, name: &str) -> Result<ReleaseStatus> {
        let (client, name) = (self.async_client(), name.to_owned());
        self.inner
            .runtime
            .wait_for(async move { client.force_release(&name).await })
    }

    /// Who holds `name`, for how long, and how many wait.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn inspect(&self, name: &str) -> Result<Option<LockInfo>> {
        let (client, name) = (self.async_client(), name.to_owned());
        self.inner
            .runtime
            .wait_for(async move { client.inspect(&name).await })
    }

    /// The held locks whose name matches `pattern`; see [`Client::locks`](crate::Client::locks).
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn locks(&self, pattern: &str) -> Result<Locks> {
        Ok(Locks {
            inner: self.inner.clone(),
            listing: Some(self.inner.client.locks(pattern)?),
        })
    }

    /// What this client has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.client.stats()
    }

    /// Gives back every lease of this client and ends its connections; see [`Client::close`](crate::Client::close).
    ///
    /// # Errors
    /// See [`Client::close`](crate::Client::close).
    pub fn close(&self) -> Result<()> {
        let client = self.async_client();
        self.inner
            .runtime
            .wait_for(async move { client.close().await })
    }

    /// The client's id: 32 hex digits, fresh for every client.
    #[must_use]
    pub fn id(&self) -> &str {
        self.inner.client.id()
    }

    /// The app id; empty is none.
    #[must_use]
    pub fn app_id(&self) -> &str {
        self.inner.client.app_id()
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.client.is_closed()
    }

    pub(super) fn core(&self) -> Arc<BlockingCore> {
        self.inner.clone()
    }

    /// Runs `work` on the client's runtime and waits for it.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.inner.runtime.wait_for(work)
    }

    /// The same client for callers who do not block, on its runtime.
    #[doc(hidden)]
    #[must_use]
    pub fn async_client(&self) -> client::Client {
        self.inner.client.clone()
    }

    /// A lease of [`async_client`](Self::async_client) as one of this client.
    #[doc(hidden)]
    #[must_use]
    pub fn adopt(&self, lease: crate::Lease) -> Lease {
        Lease::new(self.inner.clone(), lease)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner.client, f)
    }
}

/// The locks that match a pattern, one by one. Made by [`Client::locks`].
pub struct Locks {
    inner: Arc<BlockingCore>,
    listing: Option<listing::Locks>,
}

impl Iterator for Locks {
    type Item = Result<LockInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut listing = self.listing.take()?;
        let stepped = self.inner.runtime.wait_for(async move {
            let next = listing.next().await;
            Ok((next, listing))
        });
        match stepped {
            Ok((next, listing)) => {
                self.listing = Some(listing);
                next
            }
            Err(error) => Some(Err(error)),
        }
    }
}

crate::options::setters! {
    /// An acquire that waits.
    #[must_use = "nothing is acquired until call()"]
    #[derive(Clone, Debug)]
    pub struct Acquire(AcquireBuilder<Client>);
    /// An acquire that tries once.
    #[must_use = "nothing is acquired until call()"]
    #[derive(Clone, Debug)]
    pub struct TryAcquire(AcquireBuilder<Client>);
}

impl Acquire {
    /// How long to wait at most; without it, for ever. Zero tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.0.options.wait = Some(wait);
        self
    }

    /// Acquires the lock, blocking.
    ///
    /// # Errors
    /// [`LockTimeout`](crate::ErrorKind::LockTimeout) when a `wait` was set and ran out,
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable),
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused),
    /// [`ClientClosed`](crate::ErrorKind::ClientClosed) or
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn call(self) -> Result<Lease> {
        self.0.client.acquire_request(self.0.request()?)
    }
}

impl TryAcquire {
    /// Acquires the lock if it is free, blocking for no more than the answer.
    ///
    /// # Errors
    /// See [`Acquire::call`]; a lock that is held is `None`, not an error.
    pub fn call(self) -> Result<Option<Lease>> {
        self.0.client.try_acquire_request(self.0.request()?)
    }
}
