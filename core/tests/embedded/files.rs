//! The files of a store: who may read them, which there are, and what happens when they are removed or replaced.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use leaselock::LossReason;

use crate::children::Other;
use crate::places::{Folder, hand_over, ms, queued, take_and_give_back, until};

fn mode(folder: &Folder, name: &str) -> u32 {
    let found = std::fs::metadata(folder.path().join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    found.permissions().mode() & 0o7777
}

#[test]
fn files_are_for_their_owner_alone() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client.acquire("job").call().expect("acquired");
    let mut waiter = Other::start(&folder.url());
    waiter.tell("acquire job 5000");
    queued(&client, "job", 1);
    for file in ["locks.db", "locks.db-wal", "locks.db-shm"] {
        assert_eq!(mode(&folder, file), 0o600, "{file}");
    }
    assert_eq!(mode(&folder, "locks.db-inbox"), 0o700);
    let inbox = folder.path().join("locks.db-inbox");
    for entry in std::fs::read_dir(inbox).expect("a directory") {
        let found = entry.expect("an inbox").metadata().expect("a file");
        assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    }
    assert!(lease.release().expect("released"));
    waiter.hear();
}

#[test]
fn a_closed_store_is_one_file() {
    let folder = Folder::new();
    let (a, b) = (folder.blocking(), folder.blocking());
    let lease = a.acquire("job").call().expect("acquired");
    hand_over(&lease, &b);
    let mut other = Other::start(&folder.url());
    other.ask("acquire job 5000");
    other.ask("release");
    other.end();
    a.close().expect("closed");
    b.close().expect("closed");
    assert_eq!(folder.content(), ["locks.db"]);
}

#[test]
fn a_client_that_is_only_made_leaves_no_file() {
    let folder = Folder::new();
    let client = folder.blocking();
    client.close().expect("closed");
    assert!(folder.content().is_empty(), "{:?}", folder.content());
}

#[test]
fn a_client_that_is_dropped_closes_the_store() {
    let folder = Folder::new();
    {
        let client = folder.blocking();
        let lease = client.acquire("job").call().expect("acquired");
        drop(lease);
    }
    until("it is closed", || folder.content() == ["locks.db"]);
    let left: i64 = folder.value("SELECT count(*) FROM locks");
    assert_eq!(left, 0);
}

#[test]
fn whoever_opens_a_store_without_its_shared_memory_meets_those_who_have_it() {
    let folder = Folder::new();
    let mut early = Other::start(&folder.url());
    early.ask("acquire before 60000");
    std::fs::remove_file(folder.path().join("locks.db-shm")).expect("removed");
    let late = folder.blocking();
    let before = late.try_acquire("before").call().expect("an answer");
    assert!(before.is_none());
    let lease = late.acquire("job").call().expect("acquired");
    assert_eq!(early.ask("inspect job"), "held");
    assert!(lease.release().expect("released"));
    assert_eq!(early.ask("inspect job"), "free");
}

#[test]
fn a_removed_store_is_made_anew_and_its_leases_are_lost() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client.acquire("job").ttl(ms(900)).call().expect("acquired");
    for file in folder.content() {
        std::fs::remove_file(folder.path().join(file)).expect("removed");
    }
    assert!(lease.wait_lost(Some(ms(2_000))).expect("no interrupt"));
    assert_eq!(
        lease.lost_error().expect("lost").loss_reason(),
        Some(LossReason::Released)
    );
    let again = client.acquire("job").call().expect("acquired");
    assert!(again.token() > lease.token());
    assert!(client.stats().reconnects >= 1);
    assert!(again.release().expect("released"));
}

/// Without noticing, one process would lock in the removed file and another in the new one.
#[test]
fn processes_agree_on_a_store_that_was_replaced_under_them() {
    let folder = Folder::new();
    let client = folder.blocking();
    let mut other = Other::start(&folder.url());
    other.ask("acquire warm 5000");
    take_and_give_back(&client, "warm-too");
    // The file alone: what lies beside it, and belongs to the old one, must not be taken for the new one's.
    std::fs::rename(folder.file(), folder.path().join("old.db")).expect("moved");
    other.ask("acquire job 5000");
    assert!(
        client
            .try_acquire("job")
            .call()
            .expect("an answer")
            .is_none()
    );
    assert!(
        client
            .acquire("mine")
            .call()
            .is_ok_and(|lease| lease.release().is_ok())
    );
    let words: String = folder.value("PRAGMA integrity_check");
    assert_eq!(words, "ok");
}

#[test]
fn waiters_queue_again_in_a_store_that_was_replaced() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client
        .acquire("job")
        .ttl(Duration::from_secs(60))
        .call()
        .expect("acquired");
    let mut waiter = Other::start(&folder.url());
    waiter.tell("acquire job 5000");
    queued(&client, "job", 1);
    for file in ["locks.db", "locks.db-wal", "locks.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    // Its own timer tells it, 3 s after it came at the latest.
    let start = Instant::now();
    waiter.hear();
    assert!(start.elapsed() < ms(4_500), "{:?}", start.elapsed());
    assert!(!lease.release().expect("an answer"));
}

#[test]
fn the_log_beside_the_file_does_not_grow_for_ever() {
    let folder = Folder::new();
    let client = folder.blocking();
    for _ in 0..6_000 {
        take_and_give_back(&client, "job");
    }
    let log = folder.path().join("locks.db-wal");
    until("it is short again", || {
        // The next writer begins it anew, once all of it was brought home.
        take_and_give_back(&client, "job");
        std::fs::metadata(&log).expect("a log").len() <= 2 << 20
    });
}

#[test]
fn leases_that_nobody_gave_back_do_not_pile_up() {
    let folder = Folder::new();
    let client = folder.blocking();
    for at in 0..3_000 {
        let once = client
            .acquire(format!("once-{at}"))
            .ttl(ms(100))
            .renew(false);
        once.call().expect("acquired").detach();
    }
    let plain = folder.plain();
    until("most are gone", || {
        take_and_give_back(&client, "job");
        let left: i64 = plain
            .query_row("SELECT count(*) FROM locks", [], |row| row.get(0))
            .expect("a count");
        left < 1_500
    });
}
