//! Quickstart: one job at a time, from async Rust.
use std::time::Duration;

use leaselock::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?; // LEASELOCK_URL; or Client::new("redis://…")

    // Waits up to ten seconds for its turn; renewed in the background from then on.
    let lease = client
        .acquire("nightly-report")
        .ttl(Duration::from_secs(30))
        .wait(Duration::from_secs(10))
        .await?;
    tokio::select! {
        () = report(lease.token()) => println!("done"),
        why = lease.lost() => println!("stopped: the lease was lost, {}", why.as_str()),
    }
    lease.release().await?; // or drop it: then it is given back in the background

    // Takes it only if it is free.
    match client.try_acquire("nightly-report").await? {
        Some(lease) => println!("it was free, token {}", lease.token()),
        None => println!("someone else has it"),
    }
    client.close().await
}

async fn report(token: u64) {
    println!("writing the report under token {token}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
