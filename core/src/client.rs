//! The client: where locks are taken, looked at and given back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::acquire::{Attempt, First};
use crate::claim::Claim;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::limit::Limit;
use crate::listing::Locks;
use crate::lock_info::{ExtendStatus, LockInfo, ReleaseStatus};
use crate::name::{self, LockId, Name};
use crate::options::{self, AcquireBuilder, Request, Unit};
use crate::shared::ClientCore;
use crate::stats::Stats;
use crate::store::{Ownership, Releaser};

/// How often a forced release looks who holds the lock, where each time that lease ends by itself before it is broken.
const FORCE_ATTEMPTS: u32 = 8;
/// So many holders of a lock are ended at once by force: the server does nothing else meanwhile.
const FORCED_AT_ONCE: usize = 1_000;

/// A connection to a store, and the leases taken through it. Cheap to clone; nothing is connected before the first use.
///
/// The client runs its background work on the tokio runtime of its first use, which must live as long as its leases.
///
/// ```no_run
/// # async fn example() -> leaselock::Result<()> {
/// let client = leaselock::Client::builder()
///     .url("redis://localhost")
///     .app_id("shop")
///     .build()?;
/// let lease = client.acquire("orders:42").ttl(std::time::Duration::from_secs(10)).await?;
/// // ... work, with lease.token() ...
/// lease.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<ClientCore>,
}

impl Client {
    pub(crate) fn from_inner(inner: Arc<ClientCore>) -> Self {
        Self { inner }
    }

    /// Acquires the lock `name`, waiting in line for it; set options, then `.await` it for a [`Lease`].
    ///
    /// Dropping the future at any point undoes it in the background. Fails with
    /// [`LockTimeout`](crate::ErrorKind::LockTimeout) when a `wait` was set and ran out,
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable),
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused),
    /// [`ClientClosed`](crate::ErrorKind::ClientClosed) or
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn acquire(&self, name: impl Into<String>) -> Acquire {
        Acquire(AcquireBuilder::new(self, name.into()))
    }

    /// Acquires the lock `name` if it is free; set options, then `.await` it for an `Option` of a [`Lease`].
    pub fn try_acquire(&self, name: impl Into<String>) -> TryAcquire {
        TryAcquire(AcquireBuilder::new(self, name.into()))
    }

    /// [`acquire`](Self::acquire) with a request made beforehand.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    pub async fn acquire_request(&self, request: Request) -> Result<Lease> {
        let name = request.name().to_owned();
        match self.run(request).await? {
            Some(lease) => Ok(lease),
            None => Err(Error::held(&name)),
        }
    }

    /// [`try_acquire`](Self::try_acquire) with a request made beforehand, whose `wait` is not used.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    pub async fn try_acquire_request(&self, request: Request) -> Result<Option<Lease>> {
        self.run(request.without_wait()).await
    }

    /// Either of the two: with `once` it is tried once, and a lock that is held is no error.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    #[doc(hidden)]
    pub async fn take_request(&self, request: Request, once: bool) -> Result<Option<Lease>> {
        if once {
            self.try_acquire_request(request).await
        } else {
            self.acquire_request(request).await.map(Some)
        }
    }

    async fn run(&self, request: Request) -> Result<Option<Lease>> {
        self.inner.enter();
        let mut attempt = Box::new(Attempt::new(&self.inner, request)?);
        match attempt.take_at_once().await? {
            First::Acquired(lease) => Ok(Some(lease)),
            First::Held => Ok(None),
            First::Undecided => attempt.run().await,
        }
    }

    /// Gives the lock back for `owner`, from any process. It touches no waiter.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub async fn release(&self, name: &str, owner: &str) -> Result<ReleaseStatus> {
        let lock = self.lock(name)?;
        name::check_owner(owner)?;
        let owner: Arc<[u8]> = owner.as_bytes().into();
        let releaser = Releaser::ByHand(lock, [owner].into());
        Ok(match self.released(releaser).await? {
            // A repeat whose first answer was lost finds its own success.
            (Ownership::Mine | Ownership::MineForLonger, _) | (_, true) => ReleaseStatus::Released,
            (Ownership::Nobody, false) => ReleaseStatus::NotFound,
            (Ownership::Other, false) => ReleaseStatus::NotOwner,
        })
    }

    /// Makes the lease of `owner` end exactly `ttl` from now, later or sooner than it would have, from any process. A name
    /// that is not the owner's is left alone. It is for leases that nobody renews, such as one that was
    /// [detached](Lease::detach): a holder that renews sets its own TTL again, and one that does not learns of no change.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub async fn extend(&self, name: &str, owner: &str, ttl: Duration) -> Result<ExtendStatus> {
        self.extend_by_hand(name, owner, ttl, Unit::Seconds).await
    }

    /// [`extend`](Self::extend), whose error texts give durations in `unit`.
    ///
    /// # Errors
    /// See [`extend`](Self::extend).
    #[doc(hidden)]
    pub async fn extend_by_hand(
        &self,
        name: &str,
        owner: &str,
        ttl: Duration,
        unit: Unit,
    ) -> Result<ExtendStatus> {
        let lock = self.lock(name)?;
        name::check_owner(owner)?;
        let ttl = options::floor(ttl);
        options::check_ttl(ttl, unit)?;
        let claim = Claim::of(lock.clone(), owner.to_owned(), Limit::EXCLUSIVE);
        let extend = || self.inner.extend(&claim, ttl);
        let (mut ownership, _) = self.inner.retrying(extend).await?;
        if !matches!(ownership, Ownership::Mine | Ownership::Nobody) {
            // It may be one of those who share the name.
            let sharer = Claim::of(lock, owner.to_owned(), Limit::SHARED);
            let extend = || self.inner.extend(&sharer, ttl);
            let (found, _) = self.inner.retrying(extend).await?;
            if found.is_mine() {
                ownership = found;
            }
        }
        Ok(match ownership {
            Ownership::Mine | Ownership::MineForLonger => {
                // A holder of this very client, whom the store does not tell.
                self.inner.keeper.on_touched(&claim.lock);
                ExtendStatus::Extended
            }
            Ownership::Nobody => ExtendStatus::NotFound,
            Ownership::Other => ExtendStatus::NotOwner,
        })
    }

    /// Breaks the lock, whoever holds it: it ends the leases that it meets, one, or all that share the lock. A holder learns of
    /// it at its next renewal, and until then both may act: its fencing token is the older one.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub async fn force_release(&self, name: &str) -> Result<ReleaseStatus> {
        let lock = self.lock(name)?;
        let store = &self.inner.store;
        for _ in 0..FORCE_ATTEMPTS {
            let (met, _) = self.inner.retrying(|| store.holders(&lock)).await?;
            if met.is_empty() {
                break;
            }
            let mut was_met = false;
            for met in met.chunks(FORCED_AT_ONCE) {
                // By their owners, so that a repeat whose first answer was lost ends nobody else's.
                let releaser = Releaser::ByHand(lock.clone(), met.into());
                let (ownership, unanswered) = self.released(releaser).await?;
                was_met |= ownership.is_mine() || unanswered;
            }
            if was_met {
                return Ok(ReleaseStatus::Released);
            }
            // They had ended by themselves, and someone else may hold the lock by now.
        }
        Ok(ReleaseStatus::NotFound)
    }

    fn lock(&self, name: &str) -> Result<LockId> {
        Ok(LockId::new(&self.inner.app_id, Name::new(name)?))
    }

    /// Whose the lock was; and whether an earlier attempt had no answer, and may be the one that released it.
    async fn released(&self, releaser: Releaser) -> Result<(Ownership, bool)> {
        let store = &self.inner.store;
        let release = || store.release(releaser.clone());
        self.inner.retrying(release).await
    }

    /// Who holds `name`, for how long, and how many wait.
    ///
    /// # Errors
    /// Those of the store, and [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub async fn inspect(&self, name: &str) -> Result<Option<LockInfo>> {
        let lock = self.lock(name)?;
        let store = &self.inner.store;
        let (found, _) = self.inner.retrying(|| store.inspect(&lock)).await?;
        Ok(found)
    }

    /// The held locks of this app id whose name matches `pattern`, in which `*` stands for any text and `?` for one
    /// byte. Locks that come and go meanwhile may or may not be listed.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn locks(&self, pattern: &str) -> Result<Locks> {
        Locks::new(self.inner.clone(), pattern)
    }

    /// What this client has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.read(self.inner.store.reconnects())
    }

    /// Gives back every lease of this client, sends its waiters home with
    /// [`ClientClosed`](crate::ErrorKind::ClientClosed), and ends its connections, within the command time-out.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) when leases could not be given back; they end with their
    /// TTL. The client is closed all the same.
    pub async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    /// What the store shows of itself. It changes nothing there.
    ///
    /// # Errors
    /// Those of the store when it cannot be reached or does not let us in.
    #[doc(hidden)]
    pub async fn diagnose(&self) -> Result<Diagnosis> {
        self.inner.enter();
        let diagnosis = self.inner.store.diagnose(&self.inner.app_id).await;
        diagnosis.map_err(|failure| failure.error)
    }

    /// Completes when nothing is being undone or given back in the background.
    #[doc(hidden)]
    pub async fn settled(&self) {
        self.inner.settled().await;
    }

    /// The client's id: 32 hex digits, fresh for every client.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.client_id
    }

    /// The app id; empty is none.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.inner.app_id
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.inner.store.address())
            .field("app_id", &self.app_id())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

crate::options::setters! {
    /// An acquire that waits; `.await` gives a [`Lease`].
    #[must_use = "nothing is acquired until it is awaited"]
    #[derive(Clone, Debug)]
    pub struct Acquire(AcquireBuilder<Client>);
    /// An acquire that tries once; `.await` gives an `Option` of a [`Lease`].
    #[must_use = "nothing is acquired until it is awaited"]
    #[derive(Clone, Debug)]
    pub struct TryAcquire(AcquireBuilder<Client>);
}

impl Acquire {
    /// How long to wait at most; without it, for ever. Zero tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.0.options.wait = Some(wait);
        self
    }
}

impl IntoFuture for Acquire {
    type Output = Result<Lease>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.0.client.acquire_request(self.0.request()?).await })
    }
}

impl IntoFuture for TryAcquire {
    type Output = Result<Option<Lease>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.0.client.try_acquire_request(self.0.request()?).await })
    }
}

#[cfg(test)]
mod tests;
