//! `replicas=k`: a lock counts only when so many replicas have it, and one that they do not confirm leaves nothing behind.

use std::time::Instant;

use super::common::server::Binary;
use super::*;
use leaselock::{Error, ErrorKind, LeaseState};

/// A master and its replica, in touch with each other.
struct Pair {
    master: Server,
    replica: Server,
}

impl Pair {
    fn start(binary: &Binary) -> Self {
        eprintln!("on {}", binary.name);
        let master = Server::start(binary, &["--repl-diskless-sync-delay", "0"]);
        let replica = replica_of(&master, binary);
        let pair = Self { master, replica };
        pair.in_touch();
        pair
    }

    fn each() -> impl Iterator<Item = Self> {
        common::binaries()
            .into_iter()
            .map(|binary| Self::start(&binary))
    }

    fn in_touch(&self) {
        let mut master = self.master.connect();
        let start = Instant::now();
        let mut written = redis::pipe();
        // Only what the connection wrote has to be there.
        written.cmd("INCR").arg("probe").ignore();
        written.cmd("WAIT").arg(1).arg(1_000);
        while written.query::<(i64,)>(&mut master).expect("a count") != (1,) {
            assert!(start.elapsed() < ms(20_000), "{}", self.replica.log());
        }
    }

    fn client(&self, command_timeout: Duration) -> Client {
        client_with(
            &format!("{}?replicas=1", self.master.url()),
            command_timeout,
        )
    }

    fn blocking(&self) -> leaselock::blocking::Client {
        Client::builder()
            .url(self.master.url())
            .replicas(1)
            .app_id(APP)
            .build_blocking()
            .expect("a client")
    }

    /// How often the master was asked for `command`.
    fn calls(&self, command: &str) -> u64 {
        let stats = self.master.text(&["INFO", "commandstats"]);
        let stats = stats.expect("statistics");
        let begin = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|line| line.strip_prefix(&begin));
        calls.map_or(0, |calls| {
            let digits = calls.split(',').next().expect("a number");
            digits.parse().expect("a number")
        })
    }
}

fn replica_of(master: &Server, binary: &Binary) -> Server {
    let port = master.port.to_string();
    Server::start(binary, &["--replicaof", "127.0.0.1", &port])
}

fn assert_unconfirmed(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    let words = error.to_string();
    assert!(
        words.contains("0 of 1 replicas confirmed the lock within"),
        "{words}"
    );
}

#[tokio::test]
async fn must_have_10_an_acquire_that_no_replica_confirms_is_refused_in_time_and_leaves_nothing() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        let first = client.acquire("job").await.expect("a replica has it");
        assert!(pair.replica.exists(&keys("job").lock));
        first.release().await.expect("released");

        pair.replica.pause();
        let (refused, took) = timed(client.acquire("job").wait(ms(1_000)).into_future()).await;
        assert_unconfirmed(&refused.expect_err("no replica answers"));
        assert!(took < ms(3_000), "{took:?}");
        gone_within(&pair.master, "job", ms(3_000)).await;
        assert_eq!(
            client.stats().reconnects,
            0,
            "the master answered all the time"
        );

        pair.replica.resume();
        let again = client.acquire("job").wait(ms(10_000)).await;
        let again = again.expect("the replica is back");
        assert!(again.token() > first.token());
        again.release().await.expect("released");
    }
}

#[tokio::test]
async fn a_replica_that_comes_back_within_the_wait_is_waited_for() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        client.acquire("first").await.expect("connected");
        pair.replica.pause();
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.acquire("job").wait(ms(20_000)).await }
        });
        sleep(1_500).await;
        assert!(!waiting.is_finished(), "it is tried again");
        pair.replica.resume();
        let lease = waiting
            .await
            .expect("no panic")
            .expect("the replica is back");
        assert!(lease.held());
        assert!(pair.replica.exists(&keys("job").lock));
    }
}

#[test]
fn callers_who_block_are_refused_and_leave_nothing() {
    for pair in Pair::each() {
        let client = pair.blocking();
        for _ in 0..3 {
            let lease = client.acquire("job").call().expect("a replica has it");
            assert!(pair.replica.exists(&keys("job").lock));
            assert!(lease.release().expect("released"));
        }
        pair.replica.pause();
        let start = Instant::now();
        let refused = client.acquire("job").wait(ms(1_500)).call();
        assert_unconfirmed(&refused.expect_err("no replica answers"));
        let took = start.elapsed();
        assert!(took < ms(4_000), "{took:?}");
        let lock = keys("job").lock;
        while pair.master.exists(&lock) {
            assert!(start.elapsed() < took + ms(3_000), "it is left behind");
            std::thread::sleep(ms(5));
        }
        pair.replica.resume();
        let lease = client.acquire("job").wait(ms(10_000)).call();
        lease
            .expect("the replica is back")
            .release()
            .expect("released");
    }
}

#[tokio::test]
async fn too_few_replicas_are_counted() {
    for pair in Pair::each() {
        let url = format!("{}?replicas=2", pair.master.url());
        let client = client_with(&url, ms(2_000));
        let (refused, took) = timed(client.acquire("job").into_future()).await;
        let words = refused.expect_err("one replica is there").to_string();
        assert!(
            words.contains("1 of 2 replicas confirmed the lock within"),
            "{words}"
        );
        assert!(took < ms(4_000), "{took:?}");
        gone_within(&pair.master, "job", ms(3_000)).await;
        assert_eq!(client.inspect("job").await.expect("it is served"), None);
    }
}

#[tokio::test]
async fn acquires_in_flight_are_refused_together() {
    for pair in Pair::each() {
        let client = pair.client(ms(2_500));
        client.acquire("first").await.expect("connected");
        pair.replica.pause();
        let acquires = (0..32).map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.acquire(format!("job-{number}")).await })
        });
        let (refused, took) =
            timed(futures_util::future::join_all(acquires.collect::<Vec<_>>())).await;
        for refused in refused {
            let error = refused.expect("no panic").expect_err("no replica answers");
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        }
        // One after the other they would take 16 s.
        assert!(took < ms(8_000), "{took:?}");
        for number in 0..32 {
            gone_within(&pair.master, &format!("job-{number}"), ms(5_000)).await;
        }
    }
}

#[tokio::test]
async fn what_is_written_together_is_confirmed_together() {
    const TASKS: u64 = 64;
    const ROUNDS: u64 = 20;
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        client.acquire("first").await.expect("connected");
        let before = pair.calls("wait");
        let tasks = (0..TASKS).map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let lease = client.acquire(format!("job-{number}")).await?;
                    lease.release().await?;
                }
                Ok::<_, Error>(())
            })
        });
        for done in futures_util::future::join_all(tasks.collect::<Vec<_>>()).await {
            done.expect("no panic").expect("acquired and released");
        }
        let waits = pair.calls("wait") - before;
        assert!(waits > 0 && waits * 4 < TASKS * ROUNDS, "{waits}");
    }
}

#[tokio::test]
async fn a_lease_whose_renewals_are_not_confirmed_is_lost_at_its_deadline() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        let lease = client
            .acquire("job")
            .ttl(ms(1_500))
            .await
            .expect("acquired");
        sleep(1_000).await;
        assert_eq!(lease.state(), LeaseState::Held, "renewed");
        pair.replica.pause();
        until("it is unsure", ms(3_000), async || {
            lease.state() != LeaseState::Held
        })
        .await;
        assert_eq!(lease.state(), LeaseState::Unsure);
        let left = lease.expires_in();
        assert!(
            left < ms(1_200),
            "its deadline stays where it was: {left:?}"
        );
        let reason = lost_within(&lease, left + ms(500)).await;
        assert_eq!(reason, LossReason::Expired);
        gone_within(&pair.master, "job", ms(5_000)).await;
    }
}

#[tokio::test]
async fn a_lease_whose_replica_comes_back_goes_on() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        let lease = client
            .acquire("job")
            .ttl(ms(6_000))
            .await
            .expect("acquired");
        pair.replica.pause();
        until("it is unsure", ms(5_000), async || {
            lease.state() == LeaseState::Unsure
        })
        .await;
        pair.replica.resume();
        until("it is held", ms(3_500), async || {
            lease.state() == LeaseState::Held
        })
        .await;
        assert_eq!(client.stats().reconnects, 0);
    }
}

#[tokio::test]
async fn many_renewals_wait_for_replicas_once() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        let acquires =
            (0..600).map(|number| client.acquire(format!("job-{number}")).ttl(ms(9_000)));
        let leases: Vec<Lease> =
            futures_util::future::try_join_all(acquires.map(IntoFuture::into_future))
                .await
                .expect("acquired");
        pair.replica.pause();
        until("they are unsure", ms(6_000), async || {
            leases
                .iter()
                .all(|lease| lease.state() == LeaseState::Unsure)
        })
        .await;
        pair.replica.resume();
        until("they are held", ms(6_000), async || {
            leases.iter().all(|lease| lease.state() == LeaseState::Held)
        })
        .await;
    }
}

#[tokio::test]
async fn an_extension_counts_when_replicas_have_it() {
    for pair in Pair::each() {
        let client = pair.client(ms(4_000));
        let lease = client
            .acquire("job")
            .ttl(ms(20_000))
            .renew(false)
            .await
            .expect("acquired");
        lease
            .extend(Some(ms(30_000)))
            .await
            .expect("a replica has it");
        let left = lease.expires_in();
        assert!(left > ms(25_000), "{left:?}");
        pair.replica.pause();
        let refused = lease.extend(Some(ms(60_000))).await;
        assert_unconfirmed(&refused.expect_err("no replica answers"));
        assert!(lease.expires_in() <= left, "the deadline stays");
        assert!(lease.held());
        pair.replica.resume();
        pair.in_touch();
        lease
            .extend(Some(ms(60_000)))
            .await
            .expect("the replica is back");
        assert!(lease.expires_in() > ms(50_000));
    }
}

#[test]
fn a_grant_counts_when_its_claim_is_on_replicas() {
    for pair in Pair::each() {
        let (holder, waiter) = (pair.blocking(), pair.blocking());
        for round in 0..3 {
            let lease = holder.acquire("job").call().expect("acquired");
            let waiting = std::thread::spawn({
                let waiter = waiter.clone();
                move || waiter.acquire("job").wait(ms(2_500)).call()
            });
            while pair.master.int(&["ZCARD", &keys("job").queue]) == 0 {
                std::thread::sleep(ms(5));
            }
            if round == 2 {
                pair.replica.pause();
            }
            let before = pair.calls("wait");
            lease.release().expect("released");
            let granted = waiting.join().expect("no panic");
            assert!(pair.calls("wait") > before, "the grant alone is no lease");
            if round < 2 {
                let lease = granted.expect("a replica has it");
                let ttl = pair.replica.int(&["PTTL", &keys("job").lock]);
                assert!(ttl > 20_000, "not for the claim window only: {ttl}");
                lease.release().expect("released");
            } else {
                let error = granted.expect_err("no replica answers");
                // The wait may end while replicas are waited for.
                let kinds = [ErrorKind::StoreUnavailable, ErrorKind::LockTimeout];
                assert!(kinds.contains(&error.kind()), "{error}");
                let start = Instant::now();
                while pair.master.exists(&keys("job").lock) {
                    assert!(start.elapsed() < ms(5_000), "it is left behind");
                    std::thread::sleep(ms(5));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_lock_that_the_only_replica_confirmed_outlives_the_master() {
    for mut pair in Pair::each() {
        let client = pair.client(ms(5_000));
        for round in 0..20 {
            let name = format!("job-{round}");
            let lease = client.acquire(&name).await.expect("acquired");
            if round < 19 {
                continue;
            }
            pair.master.kill();
            pair.replica.run(&["REPLICAOF", "NO", "ONE"]);
            let held = pair.replica.text(&["GET", &keys(&name).lock]);
            assert_eq!(held.as_deref(), Some(lease.owner()));
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_writing_without_replicas_is_waited_for() {
    for pair in Pair::each() {
        let client = pair.client(ms(5_000));
        client.acquire("first").await.expect("connected");
        pair.master
            .run(&["CONFIG", "SET", "min-replicas-to-write", "2"]);
        let refused = client.acquire("job").wait(ms(300)).await;
        let error = refused.expect_err("NOREPLICAS");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        pair.master
            .run(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let lease = client.acquire("job").wait(ms(5_000)).await;
        assert!(lease.expect("it writes again").held());
    }
}

#[tokio::test]
async fn the_right_to_wait_for_replicas_is_asked_for() {
    for pair in Pair::each() {
        let url = |more: &[&str]| {
            let url = crate::access::user(&pair.master, more);
            format!("{url}?replicas=1")
        };
        let client = client_at(&url(&[]));
        let refused = client.acquire("job").await.map(drop);
        let error = refused.expect_err("NOPERM");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(error.message().contains("wait"), "{error}");
        gone_within(&pair.master, "job", ms(3_000)).await;

        let client = client_at(&url(&["+wait"]));
        let lease = client.acquire("job").ttl(ms(900)).await.expect("it may");
        sleep(1_200).await;
        assert_eq!(lease.state(), LeaseState::Held, "renewed");
        lease.extend(None).await.expect("extended");
        assert!(lease.release().await.expect("released"));
    }
}

/// WAIT tells of what its own connection wrote, and a renewal of what lives for longer writes nothing.
#[tokio::test]
async fn a_renewal_that_wrote_nothing_is_not_confirmed_by_replicas_that_are_there() {
    for pair in Pair::each() {
        let client = pair.client(ms(1_000));
        let lease = client
            .acquire("job")
            .ttl(ms(4_000))
            .await
            .expect("acquired");
        pair.replica.pause();
        let refused = lease.extend(Some(ms(60_000))).await;
        assert_unconfirmed(&refused.expect_err("no replica answers"));
        pair.master
            .run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let left = lease.expires_in();
        assert!(left < ms(4_000), "{left:?}");
        let reason = lost_within(&lease, left + ms(500)).await;
        assert_eq!(reason, LossReason::Expired);
    }
}
