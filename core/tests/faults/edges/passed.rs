//! How often those who take a name without waiting can get in before those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::client_at;
use crate::common::{Server, ms};

use super::within;

/// Leases that nobody gives back: each time one runs out, a take may come before the look of who is next.
async fn a_waiter_gets_in_beside_spinners(pause: Duration) {
    for server in Server::each(&[]) {
        let stop = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicU64::new(0));
        let spinners: Vec<_> = (0..2)
            .map(|_| {
                let (client, stop, taken) = (client_at(&server.url()), stop.clone(), taken.clone());
                tokio::spawn(async move {
                    while !stop.load(SeqCst) {
                        let tried = client.try_acquire("res").ttl(ms(200)).renew(false).await;
                        if let Some(lease) = tried.unwrap() {
                            taken.fetch_add(1, SeqCst);
                            lease.detach();
                        }
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        let waiter = client_at(&server.url());
        for turn in 0..5 {
            let before = taken.load(SeqCst);
            while taken.load(SeqCst) < before + 2 {
                tokio::time::sleep(ms(5)).await;
            }
            let began = taken.load(SeqCst);
            let waits = waiter.acquire("res").wait(ms(30_000)).into_future();
            let lease = within(ms(10_000), "the waiter", waits).await.unwrap();
            // Each may pass it once, and one had the name when it came.
            let passed = taken.load(SeqCst) - began;
            assert!(passed <= 3, "turn {turn}: passed by {passed}");
            lease.release().await.unwrap();
        }
        stop.store(true, SeqCst);
        for spinner in spinners {
            spinner.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_55_a_waiter_is_not_passed_again_and_again_by_who_spins() {
    a_waiter_gets_in_beside_spinners(ms(1)).await;
}

/// They come just when their own lease has run out, and never meet a holder.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_55_a_waiter_is_not_passed_again_and_again_by_who_comes_at_the_right_time() {
    a_waiter_gets_in_beside_spinners(ms(200)).await;
}
