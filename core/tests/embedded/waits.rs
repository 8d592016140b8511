//! A store that another process keeps locked: short is waited for, long is told, and nothing is done twice or out of order.

use std::time::{Duration, Instant};

use leaselock::{Client, ErrorKind};

use crate::children::Other;
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

/// In a `select!` loop another arm has the word.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_47_a_waiter_behind_one_that_is_not_polled_gets_the_name() {
    let folder = Folder::new();
    let (holder, client) = (folder.client(), folder.client());
    let held = holder.acquire("job").await.expect("acquired");
    let unpolled = client.acquire("job").wait(ms(60_000)).into_future();
    tokio::pin!(unpolled);
    let queued = async |count| {
        while holder
            .inspect("job")
            .await
            .expect("a look")
            .map(|found| found.waiters)
            != Some(count)
        {
            tokio::time::sleep(ms(5)).await;
        }
    };
    tokio::select! {
        biased;
        _ = &mut unpolled => unreachable!("it is held"),
        () = queued(1) => {}
    }
    let second = tokio::spawn(client.acquire("job").wait(ms(60_000)).into_future());
    queued(2).await;
    assert!(held.release().await.expect("released"));

    let second = tokio::time::timeout(ms(8_000), second).await;

    let lease = second
        .expect("in time")
        .expect("no panic")
        .expect("acquired");
    assert!(lease.release().await.expect("released"));
    let first = unpolled.await.expect("acquired");
    assert!(first.token() > lease.token());
    assert!(first.release().await.expect("released"));
}

/// A process that is started again and again, and killed while it waits.
#[test]
fn field_bug_51_the_dead_are_dropped_while_the_name_is_held() {
    let folder = Folder::new();
    let holder = folder.blocking();
    let held = holder.acquire("job").ttl(ms(500)).call().expect("acquired");
    let waiters = || {
        holder
            .inspect("job")
            .expect("a look")
            .map(|found| found.waiters)
    };
    let mut others: Vec<Other> = (0..6).map(|_| Other::start(&folder.url())).collect();
    for other in &mut others {
        other.tell("acquire job 5000");
    }
    let start = Instant::now();
    while waiters() != Some(6) {
        assert!(start.elapsed() < ms(30_000), "{:?} wait", waiters());
        std::thread::sleep(ms(10));
    }
    for other in &mut others {
        other.kill();
    }
    let client = folder.blocking();
    let waiter = std::thread::spawn(move || client.acquire("job").wait(ms(60_000)).call());
    let start = Instant::now();
    while waiters() != Some(1) {
        assert!(start.elapsed() < ms(15_000), "{:?} wait", waiters());
        std::thread::sleep(ms(10));
    }
    held.check().expect("held");
    assert!(held.release().expect("released"));
    let lease = waiter.join().expect("no panic").expect("acquired");
    assert!(lease.release().expect("released"));
}
