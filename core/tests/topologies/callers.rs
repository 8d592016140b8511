//! Both kinds of clients of this crate, behind one face.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use leaselock::{Client, ClientBuilder, LeaseState, LossReason, Result, blocking};
use tokio::task::spawn_blocking;

use crate::APP;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Async,
    Blocking,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Async, Kind::Blocking];

#[derive(Clone)]
pub(crate) enum Caller {
    Async(Client),
    Blocking(blocking::Client),
}

pub(crate) enum Held {
    Async(leaselock::Lease),
    Blocking(Arc<blocking::Lease>),
}

/// Enough acquires for a connection for uncontended calls.
const WARMING: usize = 25;

pub(crate) fn builder(url: &str) -> ClientBuilder {
    Client::builder().url(url).app_id(APP)
}

impl Caller {
    pub(crate) fn new(kind: Kind, url: &str) -> Self {
        Self::of(kind, builder(url))
    }

    /// A client that gives a command so long.
    pub(crate) fn patient(kind: Kind, url: &str, timeout: Duration) -> Self {
        Self::of(kind, builder(url).command_timeout(timeout))
    }

    pub(crate) fn of(kind: Kind, builder: ClientBuilder) -> Self {
        match kind {
            Kind::Async => Self::Async(builder.build().expect("a client")),
            Kind::Blocking => Self::Blocking(builder.build_blocking().expect("a client")),
        }
    }

    /// A client that has every connection that it may have.
    pub(crate) async fn warm(kind: Kind, url: &str) -> Self {
        let (caller, name) = (Self::new(kind, url), crate::common::fresh());
        for _ in 0..WARMING {
            let lease = caller.acquire(&name, None).await.expect("free");
            assert!(lease.release().await.expect("an answer"));
        }
        caller
    }

    pub(crate) async fn acquire(&self, name: &str, wait: Option<Duration>) -> Result<Held> {
        match self {
            Self::Async(client) => {
                let acquire = client.acquire(name);
                match wait {
                    Some(wait) => acquire.wait(wait).await,
                    None => acquire.await,
                }
                .map(Held::Async)
            }
            Self::Blocking(client) => {
                let acquire = client.acquire(name);
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
                let lease = apart(move || acquire.call()).await?;
                Ok(lease.map(|lease| Held::Blocking(Arc::new(lease))))
            }
        }
    }
}

impl Held {
    pub(crate) fn owner(&self) -> &str {
        match self {
            Self::Async(lease) => lease.owner(),
            Self::Blocking(lease) => lease.owner(),
        }
    }

    pub(crate) fn token(&self) -> u64 {
        match self {
            Self::Async(lease) => lease.token(),
            Self::Blocking(lease) => lease.token(),
        }
    }

    pub(crate) fn state(&self) -> LeaseState {
        match self {
            Self::Async(lease) => lease.state(),
            Self::Blocking(lease) => lease.state(),
        }
    }

    pub(crate) fn loss_reason(&self) -> Option<LossReason> {
        match self {
            Self::Async(lease) => lease.loss_reason(),
            Self::Blocking(lease) => lease.loss_reason(),
        }
    }

    /// Whether it is found lost, as its hook tells.
    pub(crate) fn loss(&self) -> Arc<AtomicBool> {
        let lost = Arc::new(AtomicBool::new(false));
        let hook = {
            let lost = lost.clone();
            Box::new(move |_| lost.store(true, SeqCst))
        };
        match self {
            Self::Async(lease) => lease.on_lost(hook),
            Self::Blocking(lease) => lease.on_lost(hook),
        }
        lost
    }

    pub(crate) async fn release(self) -> Result<bool> {
        match self {
            Self::Async(lease) => lease.release().await,
            Self::Blocking(lease) => apart(move || lease.release()).await,
        }
    }
}

async fn apart<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(call).await.expect("it does not panic")
}
