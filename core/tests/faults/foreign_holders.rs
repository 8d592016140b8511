//! Waiting behind holders of other programs, which tell nobody when they give a lock back: the server tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use leaselock::Client;

use crate::access::user;
use crate::common::server::command;
use crate::common::{DAPR_UNLOCK, Server, fresh, ms, until};
use crate::{client_at, keys, queued, sleep, timed, wait_for};

/// A client of Dapr at work: it polls, holds for 50 ms, and unlocks.
fn busy_dapr(server: &Server, key: &str, over: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let (mut connection, key, over) = (server.connect(), key.to_owned(), over.clone());
    std::thread::spawn(move || {
        let (mut turns, mut pause) = (0, 50);
        while !over.load(SeqCst) {
            let owner = fresh();
            let set: Option<String> = command(&["SET", &key, &owner, "EX", "10", "NX"])
                .query(&mut connection)
                .expect("SET answers");
            if set.is_some() {
                turns += 1;
                std::thread::sleep(ms(50));
                let _: i64 = command(&["EVAL", DAPR_UNLOCK, "1", &key, &owner])
                    .query(&mut connection)
                    .expect("EVAL answers");
            }
            // Between 50 and 150 ms.
            pause = 50 + (pause * 7 + 13 * u64::from(owner.as_bytes()[0])) % 101;
            std::thread::sleep(ms(pause));
        }
        turns
    })
}

/// Takes the lock again and again beside three busy clients of Dapr: how often, and the longest wait.
async fn turns_beside_dapr(server: &Server, client: &Client, time: Duration) -> (u64, Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let key = keys("res").lock;
    let dapr: Vec<_> = (0..3).map(|_| busy_dapr(server, &key, &over)).collect();
    let (mut turns, mut longest, start) = (0, Duration::ZERO, Instant::now());
    while start.elapsed() < time {
        let asked = Instant::now();
        let lease = client.acquire("res").wait(ms(20_000)).await.unwrap();
        longest = longest.max(asked.elapsed());
        turns += 1;
        sleep(50).await;
        assert!(lease.release().await.unwrap());
        sleep(50).await;
    }
    over.store(true, SeqCst);
    let others: u64 = dapr.into_iter().map(|it| it.join().unwrap()).sum();
    eprintln!(
        "{}: {turns} turns, longest wait {longest:?}, Dapr {others}",
        server.name
    );
    (turns, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_a_waiter_has_its_turns_beside_busy_clients_of_dapr() {
    let seconds = if std::env::var("FULL").is_ok_and(|it| it == "1") {
        40
    } else {
        8
    };
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let (turns, longest) = turns_beside_dapr(&server, &client, ms(seconds * 1_000)).await;
        assert!(turns >= 5 * seconds, "{turns} turns");
        assert!(longest <= ms(500), "{longest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_without_the_right_a_foreign_holder_is_looked_at_by_the_clock() {
    for server in Server::each(&[]) {
        for denied in ["-client|tracking", "-client|caching"] {
            let client = client_at(&user(&server, &[denied]));
            let key = keys("res").lock;
            server.run(&["SET", &key, "dapr"]);
            let waiter = wait_for(&client, "res");
            queued(&server, "res", 1).await;
            sleep(100).await;
            server.run(&["DEL", &key]);
            let freed = Instant::now();
            let lease = waiter.await.unwrap().unwrap();
            let took = freed.elapsed();
            assert!((ms(1_000)..ms(4_500)).contains(&took), "{took:?}");
            assert!(lease.release().await.unwrap());
        }
    }
}

/// How long it takes the first of `clients`' waiters to have the lock once its foreign holder is gone; all of them queue for it in turn.
async fn gone_by(server: &Server, clients: &[Client], holder: &str, end: &[&str]) -> Duration {
    let key = keys("res").lock;
    server.run(&["SET", &key, holder, "EX", "60"]);
    let mut waiters = Vec::new();
    for (client, count) in clients.iter().zip(1..) {
        waiters.push(wait_for(client, "res"));
        queued(server, "res", count).await;
    }
    sleep(50).await;
    let start = Instant::now();
    server.run(end);
    let mut took = None;
    for waiter in waiters {
        let lease = waiter.await.unwrap().unwrap();
        took.get_or_insert(start.elapsed());
        assert!(lease.release().await.unwrap());
    }
    took.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_however_a_foreign_holder_goes_its_waiters_have_the_lock_at_once() {
    for server in Server::each(&[]) {
        let key = keys("res").lock;
        let clients: Vec<_> = (0..3).map(|_| client_at(&server.url())).collect();
        // One of whom it cannot be told at a glance: too short, too long, of another alphabet.
        let hex = "0123456789abcdef0123456789abcdef";
        let (long, upper) = (format!("f{hex}"), hex.to_uppercase());
        for holder in [
            "dapr",
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            &hex[1..],
            &long,
            &upper,
        ] {
            for end in [
                &["DEL", &key][..],
                &["PEXPIRE", &key, "0"],
                &["UNLINK", &key],
            ] {
                let took = gone_by(&server, &clients, holder, end).await;
                assert!(took < ms(500), "{holder}, {end:?}: {took:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_whoever_becomes_the_next_behind_a_foreign_holder_is_told_too() {
    for server in Server::each(&[]) {
        let (first, second) = (client_at(&server.url()), client_at(&server.url()));
        let key = keys("res").lock;
        server.run(&["SET", &key, "dapr", "EX", "60"]);
        let gives_up = wait_for(&first, "res");
        queued(&server, "res", 1).await;
        let stays = wait_for(&second, "res");
        queued(&server, "res", 2).await;
        sleep(50).await;
        gives_up.abort();
        queued(&server, "res", 1).await;
        sleep(100).await;
        let start = Instant::now();
        server.run(&["DEL", &key]);
        let lease = stays.await.unwrap().unwrap();
        assert!(start.elapsed() < ms(500), "{:?}", start.elapsed());
        assert!(lease.release().await.unwrap());
    }
}

/// A holder that touches its own lock all the time does not have the next in line ask all the time.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_a_foreign_holder_that_renews_all_the_time_is_asked_about_in_moderation() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let key = keys("res").lock;
        server.run(&["SET", &key, "dapr", "EX", "60"]);
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        let asked = AtomicU64::new(0);
        let looks = || {
            let stats = server.text(&["INFO", "commandstats"]).unwrap();
            let line = stats
                .lines()
                .find_map(|it| it.strip_prefix("cmdstat_evalsha:calls="));
            line.map_or(0, |it| {
                it.split(',').next().unwrap().parse::<u64>().unwrap()
            })
        };
        let (before, start) = (looks(), Instant::now());
        let mut connection = server.connect();
        while start.elapsed() < ms(1_000) {
            let _: redis::Value = command(&["EXPIRE", &key, "60"])
                .query(&mut connection)
                .unwrap();
            asked.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
        }
        let (looks, took) = (looks() - before, start.elapsed());
        eprintln!("{asked:?} touches, {looks} looks in {took:?}");
        assert!(
            (2..=took.as_millis() / 5 + 2).contains(&u128::from(looks)),
            "{looks}"
        );
        server.run(&["DEL", &key]);
        assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
    }
}

/// Behind a holder of leaselock nothing is watched: it tells by itself.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_a_holder_of_leaselock_is_not_watched() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        for label in [None, Some("worker-7"), Some("dapr:"), Some("ü")] {
            let mut acquire = holder.acquire("res");
            if let Some(label) = label {
                acquire = acquire.label(label);
            }
            let lease = acquire.await.unwrap();
            let waiter = wait_for(&client, "res");
            queued(&server, "res", 1).await;
            sleep(50).await;
            assert!(lease.release().await.unwrap());
            assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
        }
        until("quiet", ms(2_000), async || {
            !server.exists(&keys("res").lock)
        })
        .await;
        let stats = server.text(&["INFO", "commandstats"]).unwrap();
        assert!(!stats.contains("cmdstat_client|caching"), "{stats}");
    }
}

/// As applications make them up: they look much like one of leaselock's.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_56_a_holder_whose_owner_is_a_uuid_is_foreign() {
    for server in Server::each(&[]) {
        for owner in [
            "3d2f1a0b4c5d4e6f8a9b0c1d2e3f4a5b",
            "job:018f3b5e7a3c7d4e9f0a1b2c3d4e5f60",
        ] {
            let (lock, client) = (keys("res").lock, client_at(&server.url()));
            server.run(&["SET", &lock, owner, "EX", "60"]);
            let waiter = wait_for(&client, "res");
            queued(&server, "res", 1).await;
            sleep(200).await;
            server.run(&["DEL", &lock]);

            let (lease, took) = timed(waiter).await;

            assert!(took < ms(1_500), "{owner}: {took:?}");
            assert!(lease.unwrap().unwrap().release().await.unwrap());
        }
    }
}
