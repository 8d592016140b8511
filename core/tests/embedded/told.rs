//! A lease that is ended elsewhere, by hand or by force: its holder is told when it happens, not at the next renewal.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use leaselock::blocking::{Client, Lease};
use leaselock::{LossReason, ReleaseStatus};

use crate::children::Other;
use crate::places::{Folder, fresh, ms, queued, until};

/// Renewed every two seconds: a loss that shows much sooner was told.
const TTL: Duration = ms(6_000);
/// What is promised of the middle one.
const MIDDLE: Duration = ms(50);
const TIMES: usize = 5;

/// A lease that was just renewed for the first time, and what comes with its loss.
struct Watched {
    lease: Lease,
    lost: Receiver<LossReason>,
}

fn watched(client: &Client, count: usize) -> Vec<Watched> {
    let acquire = |i| {
        let lease = client.acquire(format!("job-{i}")).ttl(TTL).call();
        lease.expect("acquired")
    };
    let before = client.stats().renewals;
    let leases: Vec<_> = (0..count).map(acquire).collect();
    let all = before + count as u64;
    until("renewed", || client.stats().renewals >= all);
    let watch = |lease: Lease| {
        let (sender, lost) = channel();
        lease.on_lost(Box::new(move |reason| {
            let _ = sender.send(reason);
        }));
        Watched { lease, lost }
    };
    leases.into_iter().map(watch).collect()
}

/// Ends each lease as `end` does; every loss is told, and how long the middle one took.
fn told(leases: Vec<Watched>, reason: LossReason, mut end: impl FnMut(&Lease)) {
    let mut took = Vec::new();
    for Watched { lease, lost } in leases {
        let start = Instant::now();
        end(&lease);
        assert_eq!(lost.recv_timeout(ms(500)), Ok(reason));
        took.push(start.elapsed());
    }
    took.sort();
    assert!(took[took.len() / 2] < MIDDLE, "{took:?}");
}

fn ways(holder: &Client, other: &Client) {
    told(watched(holder, TIMES), LossReason::Released, |lease| {
        let ended = other.release(lease.name(), lease.owner());
        assert_eq!(ended.expect("an answer"), ReleaseStatus::Released);
    });
    told(watched(holder, TIMES), LossReason::Released, |lease| {
        let ended = other.force_release(lease.name());
        assert_eq!(ended.expect("an answer"), ReleaseStatus::Released);
    });
    // With a waiter, which has the lock from then on.
    std::thread::scope(|scope| {
        told(watched(holder, TIMES), LossReason::Taken, |lease| {
            let name = lease.name().to_owned();
            scope.spawn(move || other.acquire(&name).call().expect("acquired").detach());
            queued(other, lease.name(), 1);
            other.force_release(lease.name()).expect("an answer");
        });
    });
}

#[test]
fn field_bug_57_a_lease_that_is_ended_elsewhere_shows_when_it_happens() {
    let folder = Folder::new();
    ways(&folder.blocking(), &folder.blocking());
    let url = format!("memory:{}", fresh());
    let client = || Client::new(&url).expect("a client");
    ways(&client(), &client());
}

#[test]
fn field_bug_57_a_lease_that_another_process_ends_shows_when_it_happens() {
    let folder = Folder::new();
    let (holder, mut other) = (folder.blocking(), Other::start(&folder.url()));
    told(watched(&holder, TIMES), LossReason::Released, |lease| {
        let order = format!("end {} {}", lease.name(), lease.owner());
        assert_eq!(other.ask(&order), "RELEASED");
    });
    told(watched(&holder, TIMES), LossReason::Released, |lease| {
        assert_eq!(other.ask(&format!("break {}", lease.name())), "RELEASED");
    });
    other.end();
    holder.close().expect("closed");
    drop(holder);
    assert_eq!(folder.content(), ["locks.db"], "nothing is left over");
}
