//! `memory:` stores: shared by name, alive as long as anybody has something in them, and as exclusive as any other.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use leaselock::{Client, blocking};

use crate::places::{fresh, hand_over, ms};

fn client(name: &str) -> blocking::Client {
    blocking::Client::new(&format!("memory:{name}")).expect("a client")
}

#[test]
fn clients_share_a_store_by_its_name() {
    let (name, other) = (fresh(), fresh());
    let (a, b, c) = (client(&name), client(&name), client(&other));
    let lease = a.acquire("job").call().expect("acquired");
    assert!(b.try_acquire("job").call().expect("an answer").is_none());
    assert!(c.try_acquire("job").call().expect("an answer").is_some());
    assert!(lease.release().expect("released"));
}

#[test]
fn a_detached_lease_outlives_its_client_and_its_end_empties_the_store() {
    let name = fresh();
    let first = client(&name);
    let lease = first.acquire("job").ttl(ms(400)).call().expect("acquired");
    let (owner, token) = (lease.owner().to_owned(), lease.token());
    lease.detach();
    drop(lease);
    first.close().expect("closed");
    drop(first);

    let second = client(&name);
    assert_eq!(
        second.inspect("job").expect("a look").expect("held").owner,
        owner
    );
    drop(second);
    std::thread::sleep(ms(450));
    let third = client(&name);
    let lease = third.acquire("job").call().expect("acquired");
    assert!(lease.token() > token);
}

#[test]
fn tokens_grow_though_a_store_was_dropped_in_between() {
    let name = fresh();
    let mut tokens = Vec::new();
    for _ in 0..200 {
        let client = client(&name);
        let lease = client.acquire("job").call().expect("acquired");
        tokens.push(lease.token());
        assert!(lease.release().expect("released"));
    }
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}

#[test]
fn threads_exclude_each_other() {
    let client = client(&fresh());
    let (number, inside) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..200 {
                    let lease = client.acquire("job").call().expect("acquired");
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "two at once");
                    number.store(number.load(SeqCst) + 1, SeqCst);
                    inside.fetch_sub(1, SeqCst);
                    assert!(lease.release().expect("released"));
                }
            });
        }
    });
    assert_eq!(number.load(SeqCst), 1_600);
}

#[test]
fn a_store_has_no_thread_of_its_own_unless_it_has_to_wait() {
    let before = threads_named("leaselock-store");
    let client = client(&fresh());
    let lease = client.acquire("job").call().expect("acquired");
    hand_over(&lease, &client);
    // Those of other tests come and go; this one has none.
    assert!(
        threads_named("leaselock-store") <= before.max(8),
        "they pile up"
    );
}

fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
    tasks
        .flatten()
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|found| found.trim() == name)
        })
        .count()
}

/// Nothing here ever has to wait for an answer; the other tasks of the thread must run all the same.
#[tokio::test(flavor = "current_thread")]
async fn a_loop_of_calls_lets_other_tasks_run() {
    let client = Client::new(&format!("memory:{}", fresh())).expect("a client");
    let lease = client.acquire("job").await.expect("acquired");
    let waiter = client.clone();
    let waiting = tokio::spawn(async move { waiter.acquire("job").await });
    while client
        .inspect("job")
        .await
        .expect("a look")
        .expect("held")
        .waiters
        == 0
    {}
    assert!(lease.release().await.expect("released"));
    let next = waiting.await.expect("no panic").expect("served");
    assert!(next.release().await.expect("released"));
}

#[tokio::test]
async fn a_listing_follows_the_pattern_and_tells_who_waits() {
    let client = Client::new(&format!("memory:{}", fresh())).expect("a client");
    let mut leases = Vec::new();
    for name in ["a[1]", "a[2]", "ab", "b", "é", "a*c"] {
        leases.push(client.acquire(name).await.expect("acquired"));
    }
    for (pattern, expected) in [
        ("*", &["a*c", "a[1]", "a[2]", "ab", "b", "é"][..]),
        ("a[?]", &["a[1]", "a[2]"]),
        ("a[1]", &["a[1]"]),
        ("a*", &["a*c", "a[1]", "a[2]", "ab"]),
        ("*]*", &["a[1]", "a[2]"]),
        ("?", &["b"]),
        ("??", &["ab", "é"]),
        ("*b*", &["ab", "b"]),
        ("**", &["a*c", "a[1]", "a[2]", "ab", "b", "é"]),
        ("c", &[]),
    ] {
        let mut locks = client.locks(pattern).expect("a listing");
        let mut found = Vec::new();
        while let Some(lock) = locks.next().await {
            found.push(lock.expect("a lock").name);
        }
        found.sort();
        assert_eq!(found, expected, "{pattern}");
    }
}
