//! Grants that come late, and leases that begin and are not renewed: never two holders, and whoever loses it is told.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaselock::{Lease, LeaseState, LossReason};
use tokio::task::JoinHandle;

use super::{HALF_WINDOW, Scene, WINDOW, client_apart, is_claimed, wait_apart};
use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, gone_within, keys, lost_within, queued, sleep, timed, wait_for};

/// The grant comes to a waiter whose window is over, and the next one has the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_read_after_its_window_puts_the_waiter_back_in_the_queue() {
    for scene in Scene::each().await {
        let (held, late) = scene.waited_for().await;
        let next = wait_for(&scene.holder, "res");
        queued(&scene.server, "res", 2).await;
        scene.proxy.to_client().hold.store(true, SeqCst);
        assert!(held.release().await.unwrap());

        let next = next.await.unwrap().expect("the window is over");
        assert!(next.token() > scene.inbox.granted());
        scene.proxy.heal();

        queued(&scene.server, "res", 1).await;
        sleep(200).await;
        assert!(!late.is_finished(), "two holders");
        next.check().unwrap();
        assert!(next.release().await.unwrap());
        let late = late.await.unwrap().unwrap();
        assert!(late.token() > next.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_read_after_its_window_brings_a_fresh_lease_where_nobody_else_waits() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        scene.proxy.to_client().hold.store(true, SeqCst);
        assert!(held.release().await.unwrap());
        gone_within(&scene.server, "res", WINDOW + ms(1_000)).await;
        let between = scene.holder.acquire("other").await.unwrap();
        scene.proxy.heal();

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
        assert!(lease.token() > between.token());
        scene.check_deadline(&lease);
    }
}

/// Knows whether two leases on a name are held at one time, and whether tokens grow.
#[derive(Default)]
struct Judge(Mutex<Option<Arc<Lease>>>);

impl Judge {
    fn see(&self, lease: Lease) -> Arc<Lease> {
        let lease = Arc::new(lease);
        let mut last = self.0.lock().unwrap();
        if let Some(last) = last.as_ref() {
            assert!(!last.held(), "two holders");
            assert!(lease.token() > last.token());
        }
        *last = Some(lease.clone());
        lease
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_late_a_grant_is_there_are_never_two_holders() {
    for server in Server::each(&[]) {
        let server = Arc::new(server);
        let direct = client_at(&server.url());
        let mut delays = tokio::task::JoinSet::new();
        for delay in [
            0, 300, 900, 990, 1_000, 1_100, 1_900, 1_970, 1_990, 2_000, 2_010, 2_100, 2_600,
        ] {
            let (server, direct) = (server.clone(), direct.clone());
            delays.spawn(async move {
                let name = format!("res-{delay}");
                let proxy = Proxy::start(server.port).await;
                let judge = Judge::default();
                let held = judge.see(direct.acquire(&name).ttl(ms(60_000)).await.unwrap());
                let late = wait_apart(&client_apart(&proxy.url()), &name);
                queued(&server, &name, 1).await;
                let next = wait_for(&direct, &name);
                queued(&server, &name, 2).await;
                proxy.to_client().hold.store(true, SeqCst);
                assert!(held.release().await.unwrap());
                tokio::join!(
                    async {
                        sleep(delay).await;
                        proxy.heal();
                    },
                    holds_a_while(late, &judge),
                    holds_a_while(next, &judge),
                );
                gone_within(&server, &name, ms(1_000)).await;
            });
        }
        while let Some(delay) = delays.join_next().await {
            delay.expect("one holder at a time");
        }
    }
}

async fn holds_a_while(waiter: JoinHandle<leaselock::Result<Lease>>, judge: &Judge) {
    let lease = judge.see(waiter.await.unwrap().unwrap());
    sleep(300).await;
    assert!(lease.release().await.unwrap());
}

/// Silence before the first renewal: the window is all there is, counted from the sending of its wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_at_a_silent_server_is_unsure_and_then_lost_when_its_window_is_over() {
    for scene in Scene::each().await {
        let lease = scene.begun(true).await;
        let begun = Instant::now();
        assert_eq!(lease.state(), LeaseState::Held);
        let next = wait_for(&scene.holder, "res");
        queued(&scene.server, "res", 1).await;
        scene.server.pause();
        scene.proxy.black_hole();

        until("unsure", WINDOW, async || {
            lease.state() == LeaseState::Unsure
        })
        .await;
        lease.check().unwrap();
        assert!(lease.expires_in() > Duration::ZERO && lease.expires_in() < WINDOW);
        let reason = lost_within(&lease, WINDOW + ms(1_000)).await;
        assert_eq!(reason, LossReason::Expired);
        assert_eq!(lease.loss_reason(), Some(LossReason::Expired));
        assert!(!next.is_finished());
        tokio::time::sleep_until((begun + WINDOW).into()).await;
        assert_eq!(lease.state(), LeaseState::Lost);

        scene.server.resume();
        scene.proxy.heal();
        let (next, took) = timed(next).await;
        assert!(next.unwrap().unwrap().token() > lease.token());
        assert!(took < ms(5_000), "{took:?}");
        assert!(!lease.release().await.unwrap());
    }
}

/// The deadline is right with nobody there to notice, also where the grant was late.
#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_was_not_renewed_is_over_before_the_next_one_has_the_name() {
    for scene in Scene::each().await {
        for late in [0, 500] {
            let lease = scene.begun_late(true, ms(late)).await;
            assert!(lease.expires_in() + ms(late) < WINDOW);
            let next = wait_for(&scene.holder, "res");
            let end = Instant::now() + ms(5_000);
            while lease.held() {
                assert!(!next.is_finished(), "two holders");
                scene.check_deadline(&lease);
                assert!(Instant::now() < end);
                sleep(5).await;
            }
            let (next, took) = timed(next).await;
            let next = next.unwrap().unwrap();
            assert!(next.token() > lease.token());
            // It began with at most half a window behind it.
            assert!(took < HALF_WINDOW + ms(500), "{took:?}");
            scene.proxy.heal();
            assert!(next.release().await.unwrap());
        }
    }
}

/// The renewals are carried out and nobody hears of it: the store would keep the name for the TTL.
#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_was_renewed_unheard_is_lost_and_then_given_back() {
    for scene in Scene::each().await {
        let lease = scene.begun(true).await;
        let next = wait_for(&scene.holder, "res");
        scene.proxy.to_client().hold.store(true, SeqCst);
        scene.proxy.to_server().hold.store(false, SeqCst);
        until("renewed", WINDOW, async || {
            scene.ttl_in_store() > ms(20_000)
        })
        .await;

        assert_eq!(
            lost_within(&lease, WINDOW + ms(500)).await,
            LossReason::Expired
        );

        scene.proxy.heal();
        let (next, took) = timed(next).await;
        assert!(next.unwrap().unwrap().token() > lease.token());
        assert!(took < ms(2_000), "{took:?}");
        assert!(!lease.held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_renewal_costs_no_begun_lease() {
    for scene in Scene::each().await {
        let lease = scene.begun(true).await;
        until("unsure", WINDOW, async || {
            lease.state() == LeaseState::Unsure
        })
        .await;
        scene.proxy.cut();
        scene.proxy.heal();
        until("renewed", WINDOW, async || {
            lease.state() == LeaseState::Held
        })
        .await;
        assert!(lease.expires_in() > WINDOW);
        sleep(500).await;
        lease.check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_was_forced_away_is_told_at_its_first_renewal() {
    for scene in Scene::each().await {
        for taken in [false, true] {
            let lease = scene.begun(true).await;
            let next = taken.then(|| wait_for(&scene.holder, "res"));
            if taken {
                queued(&scene.server, "res", 1).await;
            }
            scene.holder.force_release("res").await.unwrap();
            lease.check().expect("nobody told it");
            scene.proxy.heal();

            let reason = lost_within(&lease, WINDOW).await;

            if let Some(next) = next {
                assert_eq!(reason, LossReason::Taken);
                let next = next.await.unwrap().unwrap();
                assert!(next.token() > lease.token());
                assert!(!lease.release().await.unwrap());
                next.check().unwrap();
                assert!(next.release().await.unwrap());
            } else {
                assert_eq!(reason, LossReason::Released);
                assert!(!lease.release().await.unwrap());
            }
            gone_within(&scene.server, "res", ms(500)).await;
        }
    }
}

/// Nobody waits for it any more: it is not left to its window.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_a_waiter_that_is_gone_is_passed_on() {
    for scene in Scene::each().await {
        // Connected and listening.
        assert!(scene.begun(false).await.release().await.unwrap());
        let lock = keys("res").lock;
        scene.server.run(&["SET", &lock, "gone", "PX", "60000"]);
        let next = wait_for(&scene.holder, "res");
        queued(&scene.server, "res", 1).await;
        let token = u64::MAX.to_string();
        scene.publish(&["1", "grant", &lock, "gone", &token, "2000"]);
        let (next, took) = timed(next).await;
        next.unwrap().unwrap();
        assert!(took < ms(1_000), "{took:?}");
    }
}
