//! Several locks at once: one that is lost, one that is given up half-way, and many that want the same ones.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use leaselock::{ErrorKind, LeaseState, LossReason};
use tokio::task::JoinSet;

use crate::cancelling::GiveUp;
use crate::common::{Server, ms, until};
use crate::{client_at, gone_within, keys, queued};

const NAMES: [&str; 3] = ["a", "b", "c"];

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_18_a_group_that_loses_one_gives_the_others_back() {
    for server in Server::each(&[]) {
        for gone in NAMES {
            let client = client_at(&server.url());
            let group = client.acquire_all(NAMES).ttl(ms(6_000)).await.unwrap();
            let told = Arc::new(AtomicU32::new(0));
            let hook = told.clone();
            group.on_lost(Box::new(move |_| {
                hook.fetch_add(1, SeqCst);
            }));
            // As after an eviction: nothing of leaselock's does this.
            assert_eq!(server.int(&["DEL", &keys(gone).lock]), 1);
            let reason = tokio::time::timeout(ms(5_000), group.lost()).await.unwrap();
            assert_eq!(reason, LossReason::Released);
            for name in NAMES {
                // Given back: their TTLs were set anew just now.
                gone_within(&server, name, ms(1_000)).await;
            }
            let error = group.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LeaseLost);
            let named = format!("the lease on {gone:?} is lost");
            assert!(error.message().starts_with(&named), "{error}");
            assert_eq!(group.state(), LeaseState::Lost);
            assert_eq!(
                group.extend(None).await.unwrap_err().message(),
                error.message()
            );
            assert!(!group.release().await.unwrap());
            assert_eq!(told.load(SeqCst), 1);
            let stats = client.stats();
            assert_eq!((stats.held, stats.lost, stats.released), (0, 1, 2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_18_a_release_that_finds_one_gone_gives_the_others_back() {
    for server in Server::each(&[]) {
        // Never renewed, so that nobody notices before the release.
        let client = client_at(&server.url());
        let group = client.acquire_all(NAMES).renew(false).await.unwrap();
        assert_eq!(server.int(&["DEL", &keys("b").lock]), 1);
        assert!(!group.release().await.unwrap());
        for name in NAMES {
            assert!(!server.exists(&keys(name).lock));
        }
        let error = group.lost_error().unwrap();
        assert!(error.message().contains("\"b\""), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_lost_with_the_first_deadline() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let acquire = client.acquire_all(NAMES).ttl(ms(1_000));
        let group = acquire.await.unwrap();
        server.pause();
        tokio::time::timeout(ms(2_000), group.lost()).await.unwrap();
        assert!(!group.held());
        assert_eq!(group.expires_in(), Duration::ZERO);
        server.resume();
        for name in NAMES {
            gone_within(&server, name, ms(3_000)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_given_up_at_any_poll_leaves_nothing() {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        for at_once in [true, false] {
            for polls in 1.. {
                assert!(polls < 200, "never done");
                let client = client_at(&server.url());
                let held = holder.acquire("b").await.unwrap();
                let acquire = client.acquire_all(NAMES).ttl(ms(60_000)).into_future();
                let giving_up = tokio::spawn(GiveUp::after(polls, at_once, acquire));
                tokio::time::sleep(ms(10)).await;
                held.release().await.unwrap();
                let given = tokio::time::timeout(ms(5_000), giving_up).await;
                if let Ok(Some(group)) = given.unwrap().map_err(|panic| panic.to_string()) {
                    assert!(group.unwrap().release().await.unwrap());
                    break;
                }
                for name in NAMES {
                    gone_within(&server, name, ms(2_000)).await;
                }
                let stats = client.stats();
                assert_eq!((stats.held, stats.waiting), (0, 0), "{stats:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_while_the_next_is_waited_for_is_taken_again() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let held = client.acquire("b").await.unwrap();
        let (waiter, wait) = (client_at(&server.url()), ms(10_000));
        let waiting = tokio::spawn(async move {
            let acquire = waiter.acquire_all(NAMES).ttl(ms(5_000)).wait(wait);
            acquire.await
        });
        queued(&server, "b", 1).await;
        let owner = server.text(&["GET", &keys("a").lock]).unwrap();
        assert_eq!(server.int(&["DEL", &keys("a").lock]), 1);
        until("it is taken again", ms(5_000), async || {
            let now = server.text(&["GET", &keys("a").lock]);
            now.is_some_and(|now| now != owner)
        })
        .await;
        queued(&server, "b", 1).await;
        held.release().await.unwrap();
        let group = waiting.await.unwrap().unwrap();
        assert!(group.held());
        assert!(group.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_that_want_random_groups_never_wait_for_each_other() {
    const ROUNDS: u64 = 25;
    const SHARED: [&str; 6] = ["f", "b", "e", "a", "d", "c"];
    for server in Server::each(&[]) {
        let taken: Arc<[AtomicBool; 6]> = Arc::default();
        let mut tasks = JoinSet::new();
        for seed in 0..8 {
            let (client, taken) = (client_at(&server.url()), taken.clone());
            tasks.spawn(async move {
                let mut random = seed * 7919 + 17;
                for _ in 0..ROUNDS {
                    let mut wanted = Vec::new();
                    for at in 0..SHARED.len() {
                        // Knuth's constants; its upper bits are random enough.
                        random = u64::wrapping_mul(random, 6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        if random >> 63 == 1 {
                            wanted.push(at);
                        }
                    }
                    if random >> 62 & 1 == 1 {
                        wanted.reverse();
                    }
                    if wanted.is_empty() {
                        continue;
                    }
                    let names = wanted.iter().map(|at| SHARED[*at]);
                    let group = client.acquire_all(names.clone()).await.unwrap();
                    assert!(group.names().eq(names.collect::<BTreeSet<_>>()));
                    for at in &wanted {
                        assert!(!taken[*at].swap(true, SeqCst), "two have {}", SHARED[*at]);
                    }
                    tokio::time::sleep(ms(random >> 62)).await;
                    for at in &wanted {
                        taken[*at].store(false, SeqCst);
                    }
                    assert!(group.release().await.unwrap());
                }
            });
        }
        let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        tokio::time::timeout(ms(60_000), all)
            .await
            .expect("they wait for each other");
        for name in SHARED {
            gone_within(&server, name, ms(2_000)).await;
        }
    }
}
