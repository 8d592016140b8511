//! A job that runs in one place only, however many copies are started; the others stand by.
//!
//! Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
use std::{process, time::Duration};

use leaselock::{Client, Error};
use tokio::signal;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let me = process::id();
    tokio::select! {
        ended = stand_and_lead(&client, me) => ended?,
        _ = signal::ctrl_c() => println!("{me} ends"),
    }
    client.close().await // gives the lock back, so that the next one need not wait for the lease to end
}

async fn stand_and_lead(client: &Client, me: u32) -> Result<(), Error> {
    loop {
        println!("{me} stands by");
        let lease = client
            .acquire("scheduler")
            .ttl(Duration::from_secs(3))
            .label(format!("scheduler-{me}"))
            .await?;
        println!("{me} leads, token {}", lease.token());
        tokio::select! {
            () = lead() => {}
            why = lease.lost() => println!("{me} no longer leads: {}", why.as_str()),
        }
    }
}

/// The job itself: here it runs until it is told to end.
async fn lead() {
    std::future::pending::<()>().await;
}
