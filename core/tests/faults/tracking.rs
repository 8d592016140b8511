//! Losses that the server tells of: what was renewed once is watched, and whatever ends it shows when it happens, not at
//! the next renewal.

use std::time::{Duration, Instant};

use leaselock::{Client, Lease, LossReason};

use crate::access::user;
use crate::common::{Server, ms, until};
use crate::{client_at, keys, lost_within, queued, sleep, wait_for};

/// Renewed every two seconds: a loss that shows much sooner was told.
const TTL: Duration = ms(6_000);
/// About a hundred times what it takes on an idle machine; the next renewal comes later.
const TOLD: Duration = ms(500);
/// What is promised of the middle one.
const MIDDLE: Duration = ms(50);
const LEASES: usize = 5;

/// Leases of which each was renewed just now, for the first time.
async fn renewed(client: &Client, names: &[String]) -> Vec<Lease> {
    let mut leases = Vec::new();
    for name in names {
        leases.push(client.acquire(name).ttl(TTL).await.unwrap());
    }
    let before = client.stats().renewals;
    until("renewed", ms(4_000), async || {
        client.stats().renewals >= before + names.len() as u64
    })
    .await;
    leases
}

fn names(of: &str) -> Vec<String> {
    (0..LEASES).map(|i| format!("{of}-{i}")).collect()
}

/// Waits for every loss; says how long the middle one took after it was done.
async fn told(leases: &[Lease], reason: LossReason, done: Instant) -> Duration {
    let mut took = Vec::new();
    for lease in leases {
        assert_eq!(lost_within(lease, TOLD).await, reason);
        took.push(done.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_what_ends_a_lease_elsewhere_shows_when_it_happens() {
    const WAYS: [(&str, LossReason); 6] = [
        ("released by hand", LossReason::Released),
        ("broken by force", LossReason::Released),
        ("deleted", LossReason::Released),
        ("expired", LossReason::Released),
        ("overwritten", LossReason::Taken),
        ("broken, with a waiter", LossReason::Taken),
    ];
    for server in Server::each(&["--enable-debug-command", "yes"]) {
        let (client, other) = (client_at(&server.url()), client_at(&server.url()));
        let all: Vec<String> = WAYS.iter().flat_map(|(way, _)| names(way)).collect();
        let mut leases = renewed(&client, &all).await;
        let mut waiters = Vec::new();
        for (way, reason) in WAYS {
            let mut took = Vec::new();
            for lease in leases.drain(..LEASES) {
                let (name, key) = (lease.name().to_owned(), keys(lease.name()).lock);
                let mut start = Instant::now();
                match way {
                    "released by hand" => {
                        other.release(&name, lease.owner()).await.unwrap();
                    }
                    "broken by force" => {
                        other.force_release(&name).await.unwrap();
                    }
                    "broken, with a waiter" => {
                        waiters.push(wait_for(&other, &name));
                        queued(&server, &name, 1).await;
                        start = Instant::now();
                        other.force_release(&name).await.unwrap();
                    }
                    "overwritten" => {
                        server.run(&["SET", &key, "someone"]);
                    }
                    // In a transaction nobody renews it in between.
                    "expired" => {
                        let mut pipe = redis::pipe();
                        pipe.atomic().cmd("PEXPIRE").arg(&key).arg(1);
                        pipe.cmd("DEBUG").arg("SLEEP").arg("0.005");
                        let _: redis::Value = pipe.query(&mut server.connect()).unwrap();
                    }
                    _ => {
                        server.run(&["DEL", &key]);
                    }
                }
                took.push(told(&[lease], reason, start).await);
            }
            took.sort();
            eprintln!("{way}: {took:?}");
            assert!(took[LEASES / 2] < MIDDLE, "{way}: {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_flush_shows_when_it_happens() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for way in ["FLUSHALL", "FLUSHDB"] {
            let leases = renewed(&client, &names(way)).await;
            // Never renewed so far, and lost as well.
            let young = client.acquire("young").ttl(TTL).await.unwrap();
            let start = Instant::now();
            server.run(&[way]);
            let took = told(&leases, LossReason::Released, start).await;
            told(&[young], LossReason::Released, start).await;
            assert!(took < MIDDLE, "{way}: {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_an_eviction_shows_when_it_happens() {
    for server in Server::each(&["--maxmemory-policy", "allkeys-lru"]) {
        let client = client_at(&server.url());
        let leases = renewed(&client, &names("evicted")).await;
        let start = Instant::now();
        // Less than what an empty server needs.
        server.run(&["CONFIG", "SET", "maxmemory", "100kb"]);
        let took = told(&leases, LossReason::Released, start).await;
        eprintln!("evicted: {took:?}");
        assert!(
            server
                .text(&["INFO", "stats"])
                .unwrap()
                .contains("evicted_keys:")
        );
    }
}

/// What a push says is believed of nobody: the store is asked, and as long as it says that the lease is there, it is.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_lock_that_is_touched_all_the_time_is_not_renewed_all_the_time() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = &renewed(&client, &names("touched")[..1]).await[0];
        let before = client.stats().renewals;
        let key = keys(lease.name()).lock;
        let start = Instant::now();
        let mut touches = 0;
        let mut connection = server.connect();
        while start.elapsed() < ms(2_000) {
            let _: redis::Value = crate::common::server::command(&["PEXPIRE", &key, "6000"])
                .query(&mut connection)
                .unwrap();
            touches += 1;
            sleep(2).await;
        }
        let renewals = client.stats().renewals - before;
        eprintln!("{touches} touches, {renewals} renewals");
        assert!(touches > 100, "{touches}");
        // One at once, and one each half second.
        assert!((1..=7).contains(&renewals), "{renewals} renewals");
        lease.check().unwrap();

        server.run(&["DEL", &key]);
        assert_eq!(lost_within(lease, ms(1_500)).await, LossReason::Released);
    }
}

/// Past its last renewal, which lasts until `max_hold` ends, a lease is watched like any other.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_lease_that_is_not_to_be_renewed_again_is_told_too() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let acquire = |name| client.acquire(name).ttl(ms(1_500)).max_hold(ms(4_000));
        let (lost, kept) = (
            acquire("lost").await.unwrap(),
            acquire("kept").await.unwrap(),
        );
        sleep(3_200).await;
        let before = client.stats().renewals;
        server.run(&["PEXPIRE", &keys("kept").lock, "5000"]);
        server.run(&["DEL", &keys("lost").lock]);
        assert_eq!(lost_within(&lost, TOLD).await, LossReason::Released);
        kept.check().unwrap();
        until("the store was asked", TOLD, async || {
            client.stats().renewals == before + 1
        })
        .await;
        assert_eq!(lost_within(&kept, ms(2_000)).await, LossReason::MaxHold);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_extending_and_releasing_touch_nothing_of_ones_own() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = &renewed(&client, &names("mine")[..1]).await[0];
        // An extension counts as one.
        let before = client.stats().renewals + 50;
        for _ in 0..50 {
            lease.extend(Some(TTL)).await.unwrap();
        }
        sleep(100).await;
        assert_eq!(client.stats().renewals, before);
        assert!(lease.release().await.unwrap());
        for _ in 0..50 {
            let lease = client.acquire("mine-0").ttl(TTL).await.unwrap();
            assert!(lease.release().await.unwrap());
        }
        assert_eq!(client.stats().renewals, before);
    }
}

/// A server whose table is full forgets what it watched, and says that it has changed: so each client has others renew, and
/// those the first one again.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_table_that_overflows_costs_a_bounded_number_of_renewals() {
    const CLIENTS: usize = 10;
    const LEASES: usize = 200;
    for server in Server::each(&["--tracking-table-max-keys", "100"]) {
        let clients: Vec<_> = (0..CLIENTS).map(|_| client_at(&server.url())).collect();
        let mut leases = Vec::new();
        for (i, client) in clients.iter().cycle().take(LEASES).enumerate() {
            leases.push(client.acquire(format!("{i}")).ttl(ms(1_500)).await.unwrap());
        }
        let renewals = || clients.iter().map(|it| it.stats().renewals).sum::<u64>();
        let (before, start) = (renewals(), Instant::now());
        sleep(3_000).await;
        let (renewals, took) = (renewals() - before, start.elapsed());
        eprintln!("{renewals} renewals in {took:?}");
        // One by the clock each 500 ms, and up to two for what was told: five without a bound.
        let periods = u64::try_from(took.as_millis() / 500 + 1).unwrap();
        let most = LEASES as u64 * periods * 3;
        assert!(renewals <= most, "{renewals}, {most}");
        assert!(leases.iter().all(Lease::held));
        assert!(clients.iter().all(|it| it.stats().renew_failures == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_lease_is_watched_again_on_the_next_connection() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = &renewed(&client, &names("again")[..1]).await[0];
        let before = client.stats().renewals;
        server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        until("renewed", ms(3_000), async || {
            client.stats().renewals > before
        })
        .await;
        server.run(&["DEL", &keys("again-0").lock]);
        assert_eq!(lost_within(lease, TOLD).await, LossReason::Released);
    }
}

/// How often a command was called, and how often it was refused.
fn calls(server: &Server, command: &str) -> Option<String> {
    let stats = server.text(&["INFO", "commandstats"]).unwrap();
    let line = format!("cmdstat_{command}:");
    let found = stats.lines().find_map(|it| it.strip_prefix(&line));
    found.map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_without_the_right_a_loss_shows_at_the_next_renewal_and_the_server_is_asked_once()
 {
    for server in Server::each(&[]) {
        for denied in ["-client|tracking", "-client|caching"] {
            server.run(&["CONFIG", "RESETSTAT"]);
            let client = client_at(&user(&server, &[denied]));
            let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
            until("renewed", ms(3_000), async || client.stats().renewals >= 4).await;
            lease.check().unwrap();
            assert_eq!(client.stats().renew_failures, 0);
            server.run(&["DEL", &keys("res").lock]);
            assert_eq!(lost_within(&lease, ms(600)).await, LossReason::Released);

            let command = &denied[1..];
            let refused = calls(&server, command).expect("asked");
            assert!(refused.contains("calls=0,"), "{refused}");
            assert!(refused.contains("rejected_calls=1,"), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_57_a_lease_that_is_never_renewed_asks_for_nothing() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for _ in 0..50 {
            let lease = client.acquire("res").await.unwrap();
            assert!(lease.release().await.unwrap());
        }
        assert_eq!(calls(&server, "client|tracking"), None);
        assert_eq!(calls(&server, "client|caching"), None);
    }
}
