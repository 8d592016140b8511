//! What held leases cost while nothing happens.

use std::time::{Duration, Instant};

use crate::children::processor_time;
use crate::places::Folder;

/// 10,000 leases with a TTL of 10 s, each renewed every 3.3 s.
#[tokio::test(flavor = "current_thread")]
#[ignore = "takes a minute and wants an optimised build: cargo test --release --test embedded -- --ignored ten_thousand"]
async fn ten_thousand_renewed_leases_cost_less_than_3_percent_of_a_core() {
    let folder = Folder::new();
    let client = folder.client();
    let mut leases = Vec::new();
    for at in 0..10_000 {
        let ttl = Duration::from_secs(10);
        leases.push(
            client
                .acquire(format!("job-{at}"))
                .ttl(ttl)
                .await
                .expect("acquired"),
        );
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (before, start) = (processor_time(std::process::id()), Instant::now());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let used = processor_time(std::process::id()).saturating_sub(before);
    let elapsed = start.elapsed();
    let share = used.as_secs_f64() / elapsed.as_secs_f64();
    eprintln!("10,000 renewed leases: {:.2} % of a core", share * 100.0);
    assert!(leases.iter().all(leaselock::Lease::held), "none is lost");
    assert!(share <= 0.03, "{share}");
    client.close().await.expect("closed");
}
