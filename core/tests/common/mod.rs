//! What the tests share: servers of their own, a proxy that misbehaves, plain connections, fresh names.
#![allow(dead_code, unused_imports, unreachable_pub)] // every test program uses its part of it

pub mod clock;
pub mod proxy;
pub mod server;
pub mod topology;

use std::time::{Duration, Instant};

pub use server::{Binary, Server, binaries};
use tokio::task::JoinSet;

/// A fresh text of twelve characters of `a-z0-9`, for names nobody else uses.
pub fn fresh() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut number = RandomState::new().build_hasher().finish();
    let digits = b"abcdefghijklmnopqrstuvwxyz0123456789";
    std::iter::repeat_with(|| {
        let digit = digits[(number % 36) as usize] as char;
        number /= 36;
        digit
    })
    .take(12)
    .collect()
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Asks `done` every 5 ms; panics with `what` when it has not said yes within `limit`.
pub async fn until<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> F,
) {
    let start = Instant::now();
    while !done().await {
        assert!(
            start.elapsed() < limit,
            "{what}: not so after {:?}",
            start.elapsed()
        );
        tokio::time::sleep(ms(5)).await;
    }
}

/// Runs a test on every server, on all at once: these wait more than they work.
pub async fn on_each<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Binary) -> F) {
    all(binaries().into_iter().map(test)).await;
}

/// Waits for all of them at once; the first panic is the test's.
pub async fn all<F: Future<Output = ()> + Send + 'static>(parts: impl IntoIterator<Item = F>) {
    let mut parts: JoinSet<()> = parts.into_iter().collect();
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The keys of one lock as the wire protocol lays them out.
pub struct Keys {
    pub lock: String,
    pub queue: String,
    pub fence: String,
}

impl Keys {
    pub fn new(app_id: &str, name: &str) -> Self {
        let lock = format!("lock||{app_id}||{name}");
        Self {
            queue: format!("{{{lock}}}||||queue"),
            fence: format!("lock||{app_id}||||fence"),
            lock,
        }
    }
}

/// Dapr's unlock: -1 there is none, -2 it is someone else's, else the number of deleted keys.
pub const DAPR_UNLOCK: &str = "local held = redis.call('GET', KEYS[1]) \
     if not held then return -1 end \
     if held ~= ARGV[1] then return -2 end \
     return redis.call('DEL', KEYS[1])";
