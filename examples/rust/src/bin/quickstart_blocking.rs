//! Quickstart: one job at a time, from Rust without async.
use std::time::Duration;

use leaselock::{Error, blocking::Client};

fn main() -> Result<(), Error> {
    let client = Client::from_env()?; // LEASELOCK_URL; or Client::new("redis://…")

    let lease = client
        .acquire("nightly-report")
        .ttl(Duration::from_secs(30))
        .wait(Duration::from_secs(10))
        .call()?;
    println!("writing the report under token {}", lease.token());
    lease.check()?; // before a step that matters: is it still mine?
    lease.release()?;

    if let Some(lease) = client.try_acquire("nightly-report").call()? {
        println!("it was free, token {}", lease.token());
    }
    client.close()
}
