//! A lease that begins with its grant, in its holder's hands.

use std::time::Instant;

use leaselock::{Client, LeaseState, blocking};

use super::{Inbox, Scene, WINDOW};
use crate::common::{Server, ms, until};
use crate::{gone_within, keys, queued, sleep, timed, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_asked_lately_has_its_lease_with_the_grant_and_its_full_ttl_soon() {
    for scene in Scene::each().await {
        let lease = scene.begun(false).await;
        assert_eq!(lease.state(), LeaseState::Held);
        assert_eq!(lease.ttl(), ms(30_000));
        scene.check_deadline(&lease);
        let counted = scene.server.text(&["GET", &keys("res").fence]).unwrap();
        assert_eq!(counted, lease.token().to_string(), "nobody else has it");

        until("renewed", ms(1_500), async || {
            lease.expires_in() > ms(20_000)
        })
        .await;
        scene.check_deadline(&lease);
        assert_eq!(
            scene.server.text(&["GET", &keys("res").lock]).as_deref(),
            Some(lease.owner())
        );
        let renewals = scene.waiter.stats().renewals;
        sleep(500).await;
        assert_eq!(scene.waiter.stats().renewals, renewals, "once");
        assert!(lease.release().await.unwrap());
        gone_within(&scene.server, "res", ms(500)).await;
    }
}

/// One script hands over, one gives back: no claim and no renewal between.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_given_back_at_once_costs_neither_a_claim_nor_a_renewal() {
    for scene in Scene::each().await {
        assert!(scene.begun(false).await.release().await.unwrap());
        let mut quick = 0;
        for _ in 0..200 {
            let (held, waiter) = scene.waited_for().await;
            let before = scene.scripts();
            let start = Instant::now();
            assert!(held.release().await.unwrap());
            let lease = waiter.await.unwrap().unwrap();
            assert!(lease.release().await.unwrap());
            let took = start.elapsed();
            let sent = scene.scripts() - before;
            // Slower than that, it may have been renewed.
            if lease.token() == scene.inbox.granted() && took < ms(5) {
                assert_eq!(sent, 2, "in {took:?}");
                quick += 1;
            }
            if quick == 5 {
                break;
            }
        }
        assert!(quick > 0, "never quick enough");
    }
}

/// A lease of a caller who blocks that began with its grant.
fn begun_blocking(server: &Server) -> blocking::Lease {
    let client = || {
        let builder = Client::builder().url(server.url()).app_id(crate::APP);
        builder.build_blocking().unwrap()
    };
    let (holder, waiter) = (client(), client());
    let inbox = Inbox::of(server, waiter.id());
    for _ in 0..20 {
        let held = holder.acquire("res").ttl(ms(60_000)).call().unwrap();
        let lease = std::thread::scope(|threads| {
            let waits = threads.spawn(|| waiter.acquire("res").ttl(ms(30_000)).call().unwrap());
            let start = Instant::now();
            while server.int(&["ZCARD", &keys("res").queue]) != 1 {
                assert!(start.elapsed() < ms(5_000));
            }
            std::thread::sleep(ms(20));
            assert!(held.release().unwrap());
            waits.join().unwrap()
        });
        if inbox.granted() == lease.token() {
            return lease;
        }
        assert!(lease.release().unwrap());
    }
    panic!("no lease begins with its grant");
}

#[test]
fn a_begun_lease_of_a_caller_who_blocks_is_renewed_while_the_caller_works() {
    for server in Server::each(&[]) {
        let lease = begun_blocking(&server);
        std::thread::sleep(WINDOW + ms(500));
        lease.check().unwrap();
        assert!(lease.expires_in() > ms(20_000));
        assert!(lease.release().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_is_dropped_goes_to_the_next() {
    for scene in Scene::each().await {
        let lease = scene.begun(false).await;
        let next = wait_for(&scene.holder, "res");
        queued(&scene.server, "res", 1).await;
        let token = lease.token();
        drop(lease);
        let (next, took) = timed(next).await;
        assert!(next.unwrap().unwrap().token() > token);
        assert!(took < ms(1_000), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_client_gives_a_begun_lease_back() {
    for scene in Scene::each().await {
        let lease = scene.begun(false).await;
        scene.waiter.close().await.unwrap();
        assert!(!lease.held());
        gone_within(&scene.server, "res", ms(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extend_right_after_the_begin_sets_the_time_for_good() {
    for scene in Scene::each().await {
        for (ttl, least, most) in [
            (None, 25_000, 30_000),
            (Some(ms(90_000)), 80_000, 90_000),
            (Some(ms(600)), 0, 600),
        ] {
            let lease = scene.begun(false).await;
            lease.extend(ttl).await.unwrap();
            let left = lease.expires_in();
            assert!((ms(least)..=ms(most)).contains(&left), "{ttl:?}: {left:?}");
            assert_eq!(lease.ttl(), ttl.unwrap_or(ms(30_000)));
            scene.check_deadline(&lease);
            // What the begin had planned changes nothing any more.
            sleep(1_000).await;
            lease.check().unwrap();
            let left = scene.ttl_in_store();
            assert!(left <= ms(most), "{ttl:?}: {left:?} in the store");
            assert!(lease.release().await.unwrap());
            gone_within(&scene.server, "res", ms(500)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extend_while_the_first_renewal_is_unanswered_waits_for_its_turn() {
    for scene in Scene::each().await {
        let lease = scene.begun(true).await;
        sleep(100).await;
        let extending = lease.extend(Some(ms(60_000)));
        tokio::pin!(extending);
        tokio::time::timeout(ms(100), &mut extending)
            .await
            .expect_err("nothing gets through");
        scene.proxy.heal();
        extending.await.unwrap();
        assert!(lease.expires_in() > ms(40_000));
        scene.check_deadline(&lease);
        assert_eq!(lease.state(), LeaseState::Held);
    }
}

/// Its renewal and its release cross on the way.
#[tokio::test(flavor = "multi_thread")]
async fn release_while_the_first_renewal_is_under_way_leaves_nothing() {
    for scene in Scene::each().await {
        for delay in [0, 5, 15, 25, 35, 60] {
            let lease = scene.begun(false).await;
            sleep(delay).await;
            assert!(lease.release().await.unwrap());
            assert_eq!(lease.state(), LeaseState::Released);
            assert!(lease.release().await.unwrap(), "asked again");
            gone_within(&scene.server, "res", ms(500)).await;
        }
        sleep(300).await;
        assert!(!scene.server.exists(&keys("res").lock));
        assert_eq!(scene.waiter.stats().lost, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_is_detached_is_left_to_its_full_ttl() {
    for scene in Scene::each().await {
        for (cut_off, close) in [(false, false), (true, false), (false, true)] {
            let lease = scene.begun(cut_off).await;
            lease.detach();
            sleep(100).await;
            scene.proxy.heal();
            until("the store has its TTL", ms(1_500), async || {
                scene.ttl_in_store() > ms(20_000)
            })
            .await;
            lease.check().unwrap();
            let owner = lease.owner().to_owned();
            if close {
                scene.waiter.close().await.unwrap();
            } else {
                drop(lease);
            }
            sleep(300).await;
            assert!(scene.ttl_in_store() > ms(20_000));
            let status = scene.holder.release("res", &owner).await.unwrap();
            assert_eq!(status.as_str(), "RELEASED");
        }
    }
}

/// The job that sets the TTL is one that closing waits for.
#[tokio::test(flavor = "multi_thread")]
async fn detach_and_close_right_after_the_begin_leave_the_name_to_its_full_ttl() {
    for scene in Scene::each().await {
        let lease = scene.begun(false).await;
        lease.detach();
        scene.waiter.close().await.unwrap();
        assert!(scene.ttl_in_store() > ms(20_000));
    }
}

#[test]
fn detach_by_a_caller_who_blocks_is_over_when_the_store_has_the_ttl() {
    for server in Server::each(&[]) {
        let lease = begun_blocking(&server);
        lease.detach();
        assert!(server.int(&["PTTL", &keys("res").lock]) > 20_000);
        drop(lease);
        std::thread::sleep(ms(100));
        assert!(server.exists(&keys("res").lock));
    }
}

/// As if it had been detached a moment earlier: what happens to a detached lease elsewhere is no loss of its holder's.
#[tokio::test(flavor = "multi_thread")]
async fn a_begun_lease_that_is_detached_and_given_back_elsewhere_is_not_lost() {
    for scene in Scene::each().await {
        let lease = scene.begun(true).await;
        lease.detach();
        let status = scene.holder.release("res", lease.owner()).await.unwrap();
        assert_eq!(status.as_str(), "RELEASED");
        scene.proxy.heal();
        lease.detached().await;
        assert!(lease.loss_reason().is_none(), "{:?}", lease.loss_reason());
        assert!(!scene.server.exists(&keys("res").lock));
    }
}
