//! What to do when a lease is lost: stop, write nothing more, and leave the rest to whoever has the lock now.
use std::time::Duration;

use leaselock::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let lease = client
        .acquire("nightly-report")
        .ttl(Duration::from_secs(1))
        .wait(Duration::from_secs(10))
        .await?;
    println!("works");
    client.force_release("nightly-report").await?; // as a colleague may do by hand; a cut network ends a lease as well
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(50)) => println!("done"), // the job itself
        why = lease.lost() => println!("stopped: the lease was lost, {why}"),
    }
    client.close().await
}
