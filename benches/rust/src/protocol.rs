//! What the driver asks, and how it is answered: one JSON object a line.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request. Times are nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Acquire and release, over and over, `inflight` at once, each on `each` names in turn.
    Pairs {
        seconds: f64,
        inflight: usize,
        #[serde(default = "one")]
        each: usize,
    },
    /// Hold a name for a while; answered when it is held and again when it was released.
    Hold { name: String, ms: u64 },
    /// Acquire a name, note when, release it.
    Wait { name: String },
    /// `waiters` that take `turns` each on one name, all starting at `at`.
    Contend {
        name: String,
        waiters: usize,
        turns: usize,
        at: u64,
    },
    /// Start waiters, one for each number, in that order; each holds for `ms` when served.
    Queue {
        name: String,
        ids: Vec<u64>,
        #[serde(default)]
        ms: u64,
    },
    /// Wait until all who queue have been served.
    Served,
    /// Acquire a name and keep it, with a TTL in milliseconds.
    Keep { name: String, ttl: u64, renew: bool },
    /// How many wait for a name.
    Waiters { name: String },
    /// Hold many renewed leases.
    Renewals {
        count: usize,
        ttl: u64,
        seconds: f64,
    },
}

/// One waiter served.
#[derive(Serialize)]
pub struct Served {
    pub id: u64,
    pub token: u64,
    pub at: u64,
}

/// One turn of a waiter.
#[derive(Serialize)]
pub struct Turn {
    pub waiter: usize,
    pub at: u64,
    pub released: u64,
}

fn one() -> usize {
    1
}

/// Every request that comes, until the input ends.
pub fn requests() -> impl Iterator<Item = Request> {
    std::io::stdin()
        .lock()
        .lines()
        .map_while(Result::ok)
        .map(|line| {
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("request {line}: {error}"))
        })
}

/// Answers with one line.
pub fn answer(value: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")
        .and_then(|()| out.flush())
        .expect("the driver has gone");
}

/// The lock names of a slice, for each of those in flight.
pub fn names(inflight: usize, each: usize) -> Vec<Vec<String>> {
    let name = |at| format!("bench-{at:02}");
    (0..inflight)
        .map(|of| (of * each..(of + 1) * each).map(name).collect())
        .collect()
}
