//! Readers of a cache beside one another, and a refresher that is alone with it.
use std::time::Duration;

use leaselock::{Client, Error};
use tokio::sync::Barrier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?; // the store is in LEASELOCK_URL
    let ttl = Duration::from_secs(30);
    let together = Barrier::new(3);
    let read = async || {
        let lease = client.acquire("cache").ttl(ttl).shared().await?;
        together.wait().await; // goes on when three are in here
        lease.release().await
    };
    tokio::try_join!(read(), read(), read())?;
    println!("three readers were inside at once");

    let lease = client.acquire("cache").ttl(ttl).await?;
    assert!(client.try_acquire("cache").shared().await?.is_none());
    println!("the refresher is alone");
    lease.release().await?;
    client.close().await
}
