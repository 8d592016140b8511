//! A worker that can be deployed at any moment: told to end, it gives its lock back and ends.
use std::{process, time::Duration};

use leaselock::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let mut told_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = work(&client) => ended?,
        _ = told_to_end.recv() => {}
    }
    client.close().await?; // gives back what the dropped work held or waited for, and waits until that is done
    Ok(())
}

/// Works in turn with other workers.
async fn work(client: &Client) -> leaselock::Result<()> {
    loop {
        let label = format!("worker-{}", process::id());
        let lease = client.acquire("worker").label(label).await?;
        println!("works, token {}", lease.token());
        sleep(Duration::from_secs(5)).await; // the job itself
        lease.release().await?;
    }
}
