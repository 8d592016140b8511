//! Networks that forget, lead elsewhere or say why not: what a connection is worth, and when there must be another.

mod hostile;
mod idle;
mod moved;
mod silent;
mod slow;
mod timeouts;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use leaselock::{Client, LeaseState, LockInfo, Result, blocking};
use tokio::task::spawn_blocking;

use crate::common::proxy::Proxy;
use crate::common::{all, fresh, ms, on_each, until};
use crate::{APP, client_with};

/// How much a client has done: what it has done decides which connections it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warmth {
    /// It has no connection yet.
    Cold,
    /// It has the shared connection only.
    Shared,
    /// It also has one for uncontended calls.
    Warm,
}

/// Both kinds of clients of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Async,
    Blocking,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Async, Kind::Blocking];

/// A client of either kind.
#[derive(Clone)]
pub(crate) enum Caller {
    Async(Client),
    Blocking(blocking::Client),
}

/// A lease of either kind.
pub(crate) enum Held {
    Async(leaselock::Lease),
    Blocking(Arc<blocking::Lease>),
}

/// Enough acquires for a connection for uncontended calls.
const WARMING: usize = 25;

impl Caller {
    pub(crate) fn new(kind: Kind, url: &str, command_timeout: Duration) -> Self {
        match kind {
            Kind::Async => Self::Async(client_with(url, command_timeout)),
            Kind::Blocking => Self::Blocking(
                Client::builder()
                    .url(url)
                    .app_id(APP)
                    .command_timeout(command_timeout)
                    .build_blocking()
                    .expect("a client"),
            ),
        }
    }

    /// A client behind a proxy, which counts its connections.
    async fn behind(proxy: &Proxy, kind: Kind, warmth: Warmth, command_timeout: Duration) -> Self {
        let caller = Self::new(kind, &proxy.url(), command_timeout);
        let (before, name) = (proxy.accepted(), fresh());
        if warmth != Warmth::Cold {
            assert!(caller.inspect(&name).await.expect("an answer").is_none());
        }
        if warmth == Warmth::Warm {
            for _ in 0..WARMING {
                let lease = caller.acquire(&name, ms(30_000), None).await;
                assert!(lease.expect("free").release().await.expect("an answer"));
            }
            // Only blocking calls have connections beside the shared one.
            let connections = 1 + usize::from(kind == Kind::Blocking);
            until("its connections", ms(5_000), async || {
                proxy.accepted() - before >= connections
            })
            .await;
        }
        caller
    }

    pub(crate) async fn acquire(
        &self,
        name: &str,
        ttl: Duration,
        wait: Option<Duration>,
    ) -> Result<Held> {
        match self {
            Self::Async(client) => {
                let acquire = client.acquire(name).ttl(ttl);
                match wait {
                    Some(wait) => acquire.wait(wait).await,
                    None => acquire.await,
                }
                .map(Held::Async)
            }
            Self::Blocking(client) => {
                let acquire = client.acquire(name).ttl(ttl);
                apart(move || match wait {
                    Some(wait) => acquire.wait(wait).call(),
                    None => acquire.call(),
                })
                .await
                .map(|lease| Held::Blocking(Arc::new(lease)))
            }
        }
    }

    pub(crate) async fn try_acquire(&self, name: &str) -> Result<Option<Held>> {
        match self {
            Self::Async(client) => Ok(client.try_acquire(name).await?.map(Held::Async)),
            Self::Blocking(client) => {
                let acquire = client.try_acquire(name);
                let taken = apart(move || acquire.call()).await?;
                Ok(taken.map(|lease| Held::Blocking(Arc::new(lease))))
            }
        }
    }

    async fn inspect(&self, name: &str) -> Result<Option<LockInfo>> {
        match self {
            Self::Async(client) => client.inspect(name).await,
            Self::Blocking(client) => {
                let (client, name) = (client.clone(), name.to_owned());
                apart(move || client.inspect(&name)).await
            }
        }
    }

    fn stats(&self) -> leaselock::Stats {
        match self {
            Self::Async(client) => client.stats(),
            Self::Blocking(client) => client.stats(),
        }
    }
}

impl Held {
    fn state(&self) -> LeaseState {
        match self {
            Self::Async(lease) => lease.state(),
            Self::Blocking(lease) => lease.state(),
        }
    }

    fn expires_in(&self) -> Duration {
        match self {
            Self::Async(lease) => lease.expires_in(),
            Self::Blocking(lease) => lease.expires_in(),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Async(lease) => lease.check(),
            Self::Blocking(lease) => lease.check(),
        }
    }

    /// Becomes true when its loss is signalled.
    fn loss(&self) -> Arc<AtomicBool> {
        let lost = Arc::new(AtomicBool::new(false));
        let told = lost.clone();
        let hook = Box::new(move |_| told.store(true, SeqCst));
        match self {
            Self::Async(lease) => lease.on_lost(hook),
            Self::Blocking(lease) => lease.on_lost(hook),
        }
        lost
    }

    pub(crate) async fn release(&self) -> Result<bool> {
        match self {
            Self::Async(lease) => lease.release().await,
            Self::Blocking(lease) => {
                let lease = lease.clone();
                apart(move || lease.release()).await
            }
        }
    }
}

/// Runs a blocking call where it may block.
async fn apart<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(call).await.expect("no panic")
}
