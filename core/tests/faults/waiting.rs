//! Waiting: in order, woken once, and held up by nobody who is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use leaselock::ErrorKind;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, client_with, gone_within, keys, queued, sleep, timed, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn many_waiters_of_many_clients_are_served_in_order() {
    for server in Server::each(&[]) {
        let clients: Vec<_> = (0..4).map(|_| client_at(&server.url())).collect();
        let lease = clients[0].acquire("res").ttl(ms(60_000)).await.unwrap();
        let mut waiters = Vec::new();
        for place in 0..24 {
            waiters.push(wait_for(&clients[place % 4], "res"));
            queued(&server, "res", i64::try_from(place).unwrap() + 1).await;
        }
        assert!(lease.release().await.unwrap());
        let mut last = lease.token();
        for (place, waiter) in waiters.into_iter().enumerate() {
            let (next, took) = timed(waiter).await;
            let next = next.unwrap().unwrap();
            assert!(next.token() > last, "place {place}");
            assert!(took < ms(1_000), "place {place}: {took:?}");
            last = next.token();
            assert!(next.release().await.unwrap());
        }
        gone_within(&server, "res", ms(500)).await;
    }
}

/// A missed wake-up would show as a wait of seconds, since no TTL here is short.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_24_no_wake_up_is_missed_in_hundreds_of_hand_overs() {
    for server in Server::each(&[]) {
        let longest = Arc::new(AtomicU64::new(0));
        let holders = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let (client, longest, holders) =
                    (client_at(&server.url()), longest.clone(), holders.clone());
                tokio::spawn(async move {
                    for _ in 0..40 {
                        let start = Instant::now();
                        let lease = client.acquire("res").ttl(ms(60_000)).await.unwrap();
                        let waited = u64::try_from(start.elapsed().as_millis()).unwrap();
                        longest.fetch_max(waited, SeqCst);
                        assert_eq!(holders.fetch_add(1, SeqCst), 0, "two holders");
                        tokio::task::yield_now().await;
                        assert_eq!(holders.fetch_sub(1, SeqCst), 1);
                        assert!(lease.release().await.unwrap());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let longest = Duration::from_millis(longest.load(SeqCst));
        assert!(longest < ms(1_500), "{longest:?}");
        gone_within(&server, "res", ms(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_25_no_wake_up_is_left_over_for_a_later_acquire() {
    for server in Server::each(&[]) {
        let (a, b) = (client_at(&server.url()), client_at(&server.url()));
        for _ in 0..5 {
            let lease = a.acquire("res").ttl(ms(60_000)).await.unwrap();
            let waiters: Vec<_> = (0..3).map(|_| wait_for(&b, "res")).collect();
            queued(&server, "res", 3).await;
            waiters.iter().for_each(tokio::task::JoinHandle::abort);
            assert!(lease.release().await.unwrap());
            gone_within(&server, "res", ms(2_000)).await;

            let lease = a.acquire("res").ttl(ms(60_000)).await.unwrap();
            let (refused, took) = timed(b.acquire("res").wait(ms(200)).into_future()).await;
            assert_eq!(refused.expect_err("held").kind(), ErrorKind::LockTimeout);
            assert!(took > ms(190), "it did not block: {took:?}");
            assert!(lease.release().await.unwrap());
        }
    }
}

/// The process at the head is gone and its connections closed: PUBLISH finds nobody, and the next is served at once.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_27_a_dead_head_of_the_queue_holds_nobody_up() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (holder, dead, live) = (
            client_at(&server.url()),
            client_at(&proxy.url()),
            client_at(&server.url()),
        );
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let ghosts: Vec<_> = (0..3).map(|_| wait_for(&dead, "res")).collect();
        queued(&server, "res", 3).await;
        let waiter = wait_for(&live, "res");
        queued(&server, "res", 4).await;
        proxy.refuse();
        sleep(200).await;

        assert!(lease.release().await.unwrap());

        let (next, took) = timed(waiter).await;
        next.unwrap().unwrap();
        assert!(took < ms(1_000), "{took:?}");
        ghosts.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// The host at the head vanished without closing its connections: it costs its claim window.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_27_a_head_that_vanished_costs_one_claim_window() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (holder, vanished, live) = (
            client_at(&server.url()),
            client_at(&proxy.url()),
            client_at(&server.url()),
        );
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let ghost = wait_for(&vanished, "res");
        queued(&server, "res", 1).await;
        let waiter = wait_for(&live, "res");
        queued(&server, "res", 2).await;
        proxy.black_hole();

        assert!(lease.release().await.unwrap());

        let (next, took) = timed(waiter).await;
        next.unwrap().unwrap().check().unwrap();
        assert!(took > ms(1_500) && took < ms(3_000), "{took:?}");
        ghost.abort();
    }
}

/// The head was told of the claim window, which is longer than the lease of the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_lease_that_came_by_a_hand_over_is_noticed_when_it_runs_out() {
    for server in Server::each(&[]) {
        let (holder, short, next) = (
            client_at(&server.url()),
            client_at(&server.url()),
            client_at(&server.url()),
        );
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let second =
            tokio::spawn(async move { short.acquire("res").ttl(ms(400)).renew(false).await });
        queued(&server, "res", 1).await;
        let waiter = wait_for(&next, "res");
        queued(&server, "res", 2).await;
        assert!(lease.release().await.unwrap());
        let second = second.await.unwrap().unwrap();

        let (third, took) = timed(waiter).await;
        third.unwrap().unwrap();
        assert!(took < ms(400 + 500), "{took:?}");
        drop(second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_27_a_holder_that_ran_out_does_not_stick_the_queue() {
    for server in Server::each(&[]) {
        let (holder, a, b) = (
            client_at(&server.url()),
            client_at(&server.url()),
            client_at(&server.url()),
        );
        let lease = holder
            .acquire("res")
            .ttl(ms(700))
            .renew(false)
            .await
            .unwrap();
        let first = wait_for(&a, "res");
        queued(&server, "res", 1).await;
        let second = wait_for(&b, "res");
        queued(&server, "res", 2).await;

        let (next, took) = timed(first).await;
        let next = next.unwrap().unwrap();
        assert!(took < ms(1_200), "{took:?}");
        assert!(!lease.held());
        assert!(!second.is_finished(), "in order");
        assert!(next.release().await.unwrap());
        let (last, took) = timed(second).await;
        assert!(took < ms(500), "{took:?}");
        assert!(last.unwrap().unwrap().token() > next.token());
    }
}

/// A few seconds of everybody wanting the same: nobody is served much more often than another.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_28_nobody_starves() {
    for server in Server::each(&[]) {
        let end = Instant::now() + ms(2_500);
        let tasks: Vec<_> = (0..24)
            .map(|_| {
                let client = client_at(&server.url());
                tokio::spawn(async move {
                    let mut served = 0_u32;
                    while Instant::now() < end {
                        let lease = client.acquire("res").await.unwrap();
                        served += 1;
                        sleep(1).await;
                        assert!(lease.release().await.unwrap());
                    }
                    served
                })
            })
            .collect();
        let mut counts = Vec::new();
        for task in tasks {
            counts.push(task.await.unwrap());
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 0 && most - least <= 2 + most / 4, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_on_many_names_of_one_client_do_not_mix() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let mut held = HashMap::new();
        let mut waiters = Vec::new();
        for i in 0..20 {
            let name = format!("res-{i}");
            held.insert(
                name.clone(),
                holder.acquire(&name).ttl(ms(60_000)).await.unwrap(),
            );
            waiters.push((name.clone(), wait_for(&client, &name)));
            queued(&server, &name, 1).await;
        }
        for (name, waiter) in waiters.into_iter().rev() {
            let first = held.remove(&name).unwrap();
            assert!(first.release().await.unwrap());
            let (next, took) = timed(waiter).await;
            let next = next.unwrap().unwrap();
            assert!(took < ms(500), "{name}: {took:?}");
            assert_eq!(next.name(), name);
            let on_server = server.text(&["GET", &keys(&name).lock]);
            assert_eq!(on_server.as_deref(), Some(next.owner()));
        }
    }
}

/// Nobody polls: a long wait costs a handful of commands.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_sends_next_to_nothing() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let waiters: Vec<_> = (0..10).map(|_| wait_for(&client, "res")).collect();
        queued(&server, "res", 10).await;
        let commands = || -> i64 {
            let stats = server.text(&["INFO", "stats"]).unwrap();
            let count = stats
                .lines()
                .find_map(|line| line.strip_prefix("total_commands_processed:"));
            count.unwrap().trim().parse().unwrap()
        };
        let before = commands();
        sleep(2_500).await;
        // A plain connection of this test costs a few commands itself.
        let spent = commands() - before;
        assert!(spent < 30, "{spent} commands while nothing happened");
        waiters.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(lease.release().await.unwrap());
    }
}

/// It could tell nobody while the network was away; it does as soon as it is back.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_27_a_wait_that_ended_during_an_outage_leaves_the_queue_after_it() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let holder = client_at(&server.url());
        let client = client_with(&proxy.url(), ms(600));
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let waiting = client.clone();
        let waiter =
            tokio::spawn(async move { waiting.acquire("res").ttl(ms(1_000)).wait(ms(800)).await });
        queued(&server, "res", 1).await;
        proxy.refuse();
        let error = waiter.await.unwrap().expect_err("unreachable");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        sleep(2_500).await;

        proxy.heal();
        // Whatever it sends next brings the connection back.
        assert!(client.inspect("other").await.unwrap().is_none());
        crate::until("it left the queue", ms(3_000), async || {
            !server.exists(&keys("res").queue)
        })
        .await;
        assert!(lease.release().await.unwrap());
    }
}
