//! Many renewed leases in one process: how many are lost, and what they cost.

use std::time::Duration;

use leaselock::{Client, Lease};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::meter::{Slice, cpu, memory, now};

/// So many are acquired or released at a time.
const AT_ONCE: usize = 256;

pub async fn run(
    client: &Client,
    count: usize,
    ttl: Duration,
    length: Duration,
) -> Result<Value, Box<dyn std::error::Error>> {
    let gate = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    // What the first leases allocate once and for all is not a lease's.
    drop(acquire(client, &gate, AT_ONCE * 4, ttl).await?);
    while client.stats().released < u64::try_from(AT_ONCE * 4)? {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = memory();
    let acquiring = now();
    let leases = acquire(client, &gate, count, ttl).await?;
    let acquired = Duration::from_nanos(now() - acquiring).as_secs_f64();
    let held = memory();

    let renewals = client.stats().renewals;
    let slice = Slice::start(length.as_secs_f64());
    let started = cpu();
    tokio::time::sleep(length).await;
    let used = cpu() - started;
    let renewals = client.stats().renewals - renewals;
    let lost = leases.iter().filter(|lease| !lease.held()).count();
    let result = slice.result(renewals);
    Ok(json!({
        "count": count,
        "lost": lost + usize::try_from(client.stats().lost)?,
        "renewals": renewals,
        "share": used / length.as_secs_f64(),
        "bytes": (held.saturating_sub(before)) / u64::try_from(count)?,
        "peak_bytes": (memory().saturating_sub(before)) / u64::try_from(count)?,
        "acquire_seconds": acquired,
        "slice": result,
    }))
}

async fn acquire(
    client: &Client,
    gate: &std::sync::Arc<Semaphore>,
    count: usize,
    ttl: Duration,
) -> Result<Vec<Lease>, Box<dyn std::error::Error>> {
    let start = |at: usize| {
        let (client, gate) = (client.clone(), gate.clone());
        tokio::spawn(async move {
            let _turn = gate.acquire().await.expect("never closed");
            client.acquire(format!("renewed:{at:06}")).ttl(ttl).await
        })
    };
    let tasks: Vec<_> = (0..count).map(start).collect();
    let mut leases = Vec::with_capacity(count);
    for task in tasks {
        leases.push(task.await??);
    }
    Ok(leases)
}
