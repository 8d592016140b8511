//! A job that runs in one place only, however many copies are started; the others stand by.
//!
//! Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
use std::{process, sync::Arc, time::Duration};

use leaselock::{Client, Error, Lease};
use tokio::signal;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let me = process::id();
    println!("{me} stands by");
    let leading = client
        .lead("scheduler", work)
        .ttl(Duration::from_secs(3))
        .label(format!("scheduler-{me}"));
    tokio::select! {
        ended = leading.into_future() => ended?,
        _ = signal::ctrl_c() => println!("{me} ends"),
    }
    client.close().await // waits until the name is given back: the next one need not wait for the lease to end
}

/// The job itself: here it runs until it is dropped, which it is when the lease is lost.
async fn work(lease: Arc<Lease>) {
    println!("{} leads, token {}", process::id(), lease.token());
    std::future::pending::<()>().await;
}
