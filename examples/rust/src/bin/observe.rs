//! Prints all that happens to the locks of a client.

use std::sync::Arc;

use leaselock::{LockEvent, blocking::Client};

fn main() -> leaselock::Result<()> {
    let tell = |event: LockEvent| println!("{} {}", event.kind().as_str(), event.name());
    let client = Client::builder()
        .url("memory:shop")
        .app_id("shop")
        .observer(Arc::new(tell))
        .build_blocking()?;

    let lease = client.acquire("order:42").call()?;
    client.try_acquire("order:42").call()?;
    lease.release()?;
    Ok(())
}
