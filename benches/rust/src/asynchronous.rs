//! Contestants on tokio: leaselock's client, and rslock.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use crate::meter::{Slice, now};
use crate::protocol::{Request, Served, Turn, answer, names, requests};
use crate::renewals;

const TTL: Duration = Duration::from_secs(30);

/// A lock library.
pub trait Locker: Clone + Send + Sync + 'static {
    type Held: Send;

    fn acquire(&self, name: &str) -> impl Future<Output = Self::Held> + Send;
    fn release(&self, held: Self::Held) -> impl Future<Output = ()> + Send;
    fn token(held: &Self::Held) -> u64;
    /// The client, for what only leaselock is asked.
    fn leaselock(&self) -> Option<&leaselock::Client>;
}

#[derive(Clone)]
pub struct Leaselock(leaselock::Client);

impl Leaselock {
    pub fn new(url: &str) -> leaselock::Result<Self> {
        leaselock::Client::new(url).map(Self)
    }
}

impl Locker for Leaselock {
    type Held = leaselock::Lease;

    async fn acquire(&self, name: &str) -> leaselock::Lease {
        self.0.acquire(name).await.expect("acquire")
    }

    async fn release(&self, held: leaselock::Lease) {
        assert!(held.release().await.expect("release"), "the lease was lost");
    }

    fn token(held: &leaselock::Lease) -> u64 {
        held.token()
    }

    fn leaselock(&self) -> Option<&leaselock::Client> {
        Some(&self.0)
    }
}

#[derive(Clone)]
pub struct Rslock(rslock::LockManager);

impl Rslock {
    /// `URL`, or with TLS `URL?ssl_ca_certs=FILE`.
    pub fn new(url: &str) -> Result<Self, Box<dyn Error>> {
        let client = match url.split_once("?ssl_ca_certs=") {
            None => redis::Client::open(url)?,
            Some((url, ca)) => {
                let certificates = redis::TlsCertificates {
                    client_tls: None,
                    root_cert: Some(std::fs::read(ca)?),
                };
                redis::Client::build_with_tls(url, certificates)?
            }
        };
        Ok(Self(rslock::LockManager::from_clients(vec![client])))
    }
}

impl Locker for Rslock {
    type Held = rslock::Lock;

    async fn acquire(&self, name: &str) -> rslock::Lock {
        self.0.acquire_no_guard(name, TTL).await.expect("acquire")
    }

    async fn release(&self, held: rslock::Lock) {
        self.0.unlock(&held).await;
    }

    fn token(_held: &rslock::Lock) -> u64 {
        0
    }

    fn leaselock(&self) -> Option<&leaselock::Client> {
        None
    }
}

async fn pairs(locker: &impl Locker, names: &[String], slice: &Slice) -> u64 {
    let mut pairs = 0;
    for name in names.iter().cycle() {
        if !slice.goes_on() {
            break;
        }
        let held = locker.acquire(name).await;
        locker.release(held).await;
        pairs += 1;
    }
    pairs
}

async fn turns(
    locker: impl Locker,
    name: String,
    waiter: usize,
    turns: usize,
    at: u64,
) -> Vec<Turn> {
    tokio::time::sleep(Duration::from_nanos(at.saturating_sub(now()))).await;
    let mut taken = Vec::with_capacity(turns);
    for _ in 0..turns {
        let held = locker.acquire(&name).await;
        let at = now();
        locker.release(held).await;
        taken.push(Turn {
            waiter,
            at,
            released: now(),
        });
    }
    taken
}

/// Requests as they come, without blocking the runtime.
fn requested() -> mpsc::UnboundedReceiver<Request> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for request in requests() {
            let _ = sender.send(request);
        }
    });
    receiver
}

pub async fn run<L: Locker>(locker: L) -> Result<(), Box<dyn Error>> {
    let mut requested = requested();
    let (served, mut serving) = mpsc::unbounded_channel();
    let mut queued = 0;
    let mut kept = Vec::new();
    let client = || locker.leaselock().ok_or("only leaselock does that");
    answer(&json!({ "ready": true }));
    while let Some(request) = requested.recv().await {
        match request {
            Request::Pairs {
                seconds,
                inflight,
                each,
            } => {
                let slice = std::sync::Arc::new(Slice::start(seconds));
                let start = |names: Vec<String>| {
                    let (locker, slice) = (locker.clone(), slice.clone());
                    tokio::spawn(async move { pairs(&locker, &names, &slice).await })
                };
                let names = names(inflight, each).into_iter();
                let mut total = 0;
                for task in names.map(start).collect::<Vec<_>>() {
                    total += task.await?;
                }
                answer(&slice.result(total));
            }
            Request::Hold { name, ms } => {
                let held = locker.acquire(&name).await;
                answer(&json!({ "held": true }));
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let released = now();
                locker.release(held).await;
                answer(&json!({ "released": released }));
            }
            Request::Wait { name } => {
                let held = locker.acquire(&name).await;
                let acquired = now();
                locker.release(held).await;
                answer(&json!({ "acquired": acquired }));
            }
            Request::Contend {
                name,
                waiters,
                turns: each,
                at,
            } => {
                let start =
                    |waiter| tokio::spawn(turns(locker.clone(), name.clone(), waiter, each, at));
                let mut taken = Vec::new();
                for task in (0..waiters).map(start).collect::<Vec<_>>() {
                    taken.extend(task.await?);
                }
                answer(&json!({ "turns": taken }));
            }
            Request::Queue { name, ids, ms } => {
                for id in ids {
                    queued += 1;
                    let (locker, name, served) = (locker.clone(), name.clone(), served.clone());
                    tokio::spawn(async move {
                        let held = locker.acquire(&name).await;
                        let (at, token) = (now(), L::token(&held));
                        if ms > 0 {
                            tokio::time::sleep(Duration::from_millis(ms)).await;
                        }
                        locker.release(held).await;
                        let _ = served.send(Served { id, token, at });
                    });
                }
                answer(&json!({ "queued": queued }));
            }
            Request::Served => {
                let mut all = Vec::new();
                while all.len() < queued {
                    all.extend(serving.recv().await);
                }
                queued = 0;
                answer(&json!({ "served": all }));
            }
            Request::Keep { name, ttl, renew } => {
                let ttl = Duration::from_millis(ttl);
                kept.push(client()?.acquire(name).ttl(ttl).renew(renew).await?);
                answer(&json!({ "held": true }));
            }
            Request::Waiters { name } => {
                let found = client()?.inspect(&name).await?;
                answer(&json!({ "waiters": found.map_or(0, |info| info.waiters) }));
            }
            Request::Renewals {
                count,
                ttl,
                seconds,
            } => {
                let ttl = Duration::from_millis(ttl);
                answer(
                    &renewals::run(client()?, count, ttl, Duration::from_secs_f64(seconds)).await?,
                );
            }
        }
    }
    // Tasks may still be waiting, and the driver wants this process gone.
    std::process::exit(0);
}
