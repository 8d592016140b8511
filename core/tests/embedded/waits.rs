//! A store that another process keeps locked: short is waited for, long is told, and nothing is done twice or out of order.

use std::time::{Duration, Instant};

use leaselock::{Client, ErrorKind};

use crate::places::{Folder, ms, take_and_give_back};

/// Keeps the store locked until dropped.
fn locked(folder: &Folder) -> rusqlite::Connection {
    let plain = folder.plain();
    plain.execute_batch("BEGIN IMMEDIATE").expect("locked");
    plain
}

#[test]
fn a_store_that_is_locked_for_a_while_is_waited_for() {
    let folder = Folder::new();
    let client = folder.blocking();
    take_and_give_back(&client, "warm");
    let plain = locked(&folder);
    std::thread::scope(|threads| {
        let acquire = threads.spawn(|| client.acquire("job").call());
        std::thread::sleep(ms(300));
        assert!(!acquire.is_finished());
        // Looking needs no lock.
        assert!(client.inspect("job").expect("a look").is_none());
        plain.execute_batch("COMMIT").expect("unlocked");
        let lease = acquire.join().expect("no panic").expect("acquired");
        assert!(lease.release().expect("released"));
    });
    assert_eq!(client.stats().reconnects, 0);
}

#[test]
fn a_store_that_stays_locked_is_unavailable() {
    let folder = Folder::new();
    let make = || {
        Client::builder()
            .url(folder.url())
            .command_timeout(ms(400))
            .build_blocking()
    };
    let client = make().expect("a client");
    let lease = client.acquire("job").call().expect("acquired");
    let plain = locked(&folder);

    let start = Instant::now();
    let error = client.try_acquire("other").call().expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("locked"), "{error}");
    assert!(error.to_string().contains("locks.db"), "{error}");
    assert!(start.elapsed() < ms(2_000), "{:?}", start.elapsed());
    let error = lease.release().expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");

    plain.execute_batch("COMMIT").expect("unlocked");
    assert!(lease.release().expect("asked again"));
    client.close().expect("closed");
    let plain = folder.plain();
    let left: i64 = plain
        .query_row("SELECT count(*) FROM locks", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
}

#[test]
fn a_renewal_that_has_to_wait_does_not_cost_the_lease() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client
        .acquire("job")
        .ttl(ms(3_000))
        .call()
        .expect("acquired");
    for _ in 0..4 {
        let plain = locked(&folder);
        std::thread::sleep(ms(1_100));
        plain.execute_batch("COMMIT").expect("unlocked");
        std::thread::sleep(ms(100));
        lease.check().expect("held");
    }
    assert!(lease.release().expect("released"));
}

/// Given up while the store is locked, each acquire is followed by its undoing, which must not overtake it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_while_the_store_is_locked_leaves_nothing() {
    let folder = Folder::new();
    let client = folder.client();
    assert!(
        client
            .acquire("warm")
            .await
            .expect("acquired")
            .release()
            .await
            .expect("released")
    );
    let plain = locked(&folder);
    let mut acquires = Vec::new();
    for at in 0..50 {
        let acquire = client
            .acquire(format!("job-{at}"))
            .ttl(Duration::from_secs(60))
            .into_future();
        acquires.push(tokio::spawn(acquire));
    }
    tokio::time::sleep(ms(100)).await;
    for acquire in acquires {
        acquire.abort();
        assert!(acquire.await.is_err(), "the store is locked");
    }
    plain.execute_batch("COMMIT").expect("unlocked");
    client.settled().await;
    let left: i64 = plain
        .query_row("SELECT count(*) FROM locks", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
    client.close().await.expect("closed");
}
