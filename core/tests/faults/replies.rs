//! Replies that are lost or late, and connections that go silent.

use std::sync::atomic::Ordering::SeqCst;

use leaselock::{ErrorKind, LeaseState};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, client_with, gone_within, keys, queued, sleep, timed, wait_for};

/// The retry finds that the name is its own; it must not take itself for someone else.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_35_a_lost_reply_to_the_first_take_is_no_refusal() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(3_000));
        // Connected and warm, so that it is the take's reply that is lost.
        assert!(client.inspect("other").await.unwrap().is_none());
        proxy.to_client().drop.store(true, SeqCst);
        let healing = tokio::spawn(async move {
            sleep(300).await;
            proxy.heal();
            proxy
        });

        let (taken, took) = timed(client.acquire("res").ttl(ms(1_500)).into_future()).await;

        let lease = taken.expect("the retry finds its own lock");
        assert!(took < ms(3_000), "{took:?}");
        lease.check().unwrap();
        assert_eq!(
            server.text(&["GET", &keys("res").lock]).as_deref(),
            Some(lease.owner())
        );
        assert!(lease.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
        drop(healing.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_35_a_lost_reply_to_a_later_take_is_no_refusal() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(3_000));
        // A first acquire, so that the next is a plain take in MULTI.
        assert!(
            client
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap()
        );
        proxy.to_client().lose_next();

        let lease = client
            .acquire("res")
            .ttl(ms(1_500))
            .await
            .expect("its own lock");

        assert_eq!(proxy.to_client().lost.load(SeqCst), 1);
        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_35_a_try_with_a_lost_reply_never_says_that_someone_else_has_it() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(1_000));
        assert!(
            client
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap()
        );
        proxy.to_client().lose_next();

        match client.try_acquire("res").ttl(ms(20_000)).await {
            Ok(taken) => assert!(taken.is_some(), "it is nobody else's"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}"),
        }

        proxy.heal();
        gone_within(&server, "res", ms(3_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_release_still_counts_as_its_own_success() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(3_000));
        let lease = client.acquire("res").ttl(ms(20_000)).await.unwrap();
        proxy.to_client().lose_next();

        let released = lease.release().await;

        assert!(!server.exists(&keys("res").lock), "it was carried out");
        match released {
            Ok(mine) => assert!(mine, "this lease gave it back"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
                assert!(lease.release().await.unwrap(), "may be tried again");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_renewal_is_made_good_by_the_next() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let lease = client.acquire("res").ttl(ms(1_500)).await.unwrap();
        proxy.to_client().lose_next();

        sleep(3_500).await;

        lease.check().unwrap();
        assert_eq!(lease.state(), LeaseState::Held);
        assert!(lease.release().await.unwrap());
    }
}

/// A reply that comes when most of the lease is over is as good as none: the name is given back.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_11_an_answer_that_comes_too_late_is_released_not_held() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(600));
        assert!(client.inspect("res").await.unwrap().is_none());
        for delay in [400, 800, 1_600] {
            proxy.to_client().delay_ms.store(delay, SeqCst);
            match client.try_acquire("res").ttl(ms(800)).renew(false).await {
                Ok(Some(lease)) => {
                    assert!(lease.held(), "handed to the user already over");
                    let on_server = server.int(&["PTTL", &keys("res").lock]);
                    let here = i64::try_from(lease.expires_in().as_millis()).unwrap();
                    assert!(here <= on_server, "{here} ms here, {on_server} ms there");
                }
                Ok(None) => panic!("nobody else has it"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}"),
            }
            proxy.heal();
            gone_within(&server, "res", ms(4_000)).await;
            sleep(200).await;
            assert!(
                !server.exists(&keys("res").lock),
                "released, and not taken again"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_ends_in_bounded_time_and_leaves_nothing() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(700));
        assert!(
            client
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap()
        );
        proxy.black_hole();

        let (refused, took) = timed(client.try_acquire("res").ttl(ms(20_000)).into_future()).await;
        assert_eq!(
            refused.expect_err("silence").kind(),
            ErrorKind::StoreUnavailable
        );
        assert!(took < ms(1_700), "{took:?}");
        let (refused, took) = timed(client.inspect("res")).await;
        assert_eq!(
            refused.expect_err("silence").kind(),
            ErrorKind::StoreUnavailable
        );
        assert!(took < ms(1_700), "{took:?}");

        // What was held back arrives now, and the lock it takes is given back at once.
        proxy.heal();
        sleep(100).await;
        gone_within(&server, "res", ms(3_000)).await;
        sleep(1_000).await;
        assert!(!server.exists(&keys("res").lock));
        let lease = client.acquire("res").await.expect("it works again");
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_loses_the_lease_at_its_deadline_and_a_waiter_elsewhere_gets_it() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (cut_off, other) = (client_at(&proxy.url()), client_at(&server.url()));
        let lease = cut_off.acquire("res").ttl(ms(1_200)).await.unwrap();
        let waiter = wait_for(&other, "res");
        queued(&server, "res", 1).await;
        proxy.black_hole();

        let next = waiter.await.unwrap().expect("served");

        assert!(!lease.held(), "never two holders");
        assert!(next.token() > lease.token());
        assert_eq!(
            crate::lost_within(&lease, ms(500)).await.as_str(),
            "expired"
        );
        proxy.heal();
        sleep(600).await;
        next.check().unwrap();
        assert!(!lease.release().await.unwrap());
        next.check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_keeps_its_leases() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        proxy.to_server().delay_ms.store(60, SeqCst);
        proxy.to_client().delay_ms.store(60, SeqCst);
        let client = client_at(&proxy.url());

        let lease = client.acquire("res").ttl(ms(1_500)).await.unwrap();
        sleep(4_000).await;

        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_longer_than_the_ttl_is_said_so() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(3_000));
        assert!(client.inspect("res").await.unwrap().is_none());
        proxy.to_client().delay_ms.store(300, SeqCst);

        let error = client
            .acquire("res")
            .ttl(ms(200))
            .wait(ms(2_000))
            .await
            .expect_err("no lease of 200 ms can be had in 300 ms");

        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(error.message().contains("ttl"), "{error}");
        proxy.heal();
        gone_within(&server, "res", ms(3_000)).await;
    }
}
