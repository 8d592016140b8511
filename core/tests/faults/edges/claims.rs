//! Claims and first waits that come late: they take back nothing that the holder was told since.

use std::sync::atomic::Ordering::SeqCst;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, keys, queued, sleep};

use super::within;

fn left(server: &Server) -> i64 {
    server.int(&["PTTL", &keys("res").lock])
}

/// The first connection swallows the first commands; the waiter asks again by another one, is served, and extends.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_45_a_wait_that_arrives_late_does_not_take_an_extension_back() {
    for server in Server::each(&[]) {
        for ttl in [500, 2_500] {
            let proxy = Proxy::start(server.port).await;
            let (holder, waiter) = (client_at(&server.url()), client_at(&proxy.url()));
            let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
            // Connected, and listening.
            let tried = waiter.acquire("res").wait(ms(50)).await;
            tried.unwrap_err();
            proxy.hold_back(0);
            let waits = waiter.acquire("res").ttl(ms(ttl)).wait(ms(20_000));
            let waits = tokio::spawn(waits.into_future());
            queued(&server, "res", 1).await;
            assert!(held.release().await.unwrap());
            let lease = within(ms(8_000), "handed over", waits)
                .await
                .unwrap()
                .unwrap();
            lease.extend(Some(ms(60_000))).await.unwrap();
            assert!(left(&server) > 50_000, "{}", left(&server));

            proxy.let_through(0);
            sleep(500).await;

            assert!(left(&server) > 50_000, "{ttl}: {}", left(&server));
            assert!(
                lease.expires_in() > ms(50_000),
                "{ttl}: {:?}",
                lease.expires_in()
            );
            assert!(lease.release().await.unwrap());
        }
    }
}

/// A TTL shorter than the claim window is what the server has from the claim on.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_claim_cuts_the_claim_window_down_to_a_shorter_ttl() {
    for server in Server::each(&[]) {
        let (holder, waiter) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let waits = waiter
            .acquire("res")
            .ttl(ms(700))
            .renew(false)
            .wait(ms(20_000));
        let waits = tokio::spawn(waits.into_future());
        queued(&server, "res", 1).await;
        assert!(held.release().await.unwrap());
        let lease = waits.await.unwrap().unwrap();
        assert!(left(&server) <= 700, "{}", left(&server));
        drop(lease);
    }
}

/// The claim that may cut is the one that comes late: until it must have come, its lease is counted on for no more.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_45_a_lease_whose_first_claim_may_come_late_is_not_counted_on_for_longer() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (holder, waiter) = (client_at(&server.url()), client_at(&proxy.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        // Renewed, it would be told of the late claim, and undo what that did.
        let waits = waiter.acquire("res").renew(false);
        let waits = waits.ttl(ms(800)).wait(ms(20_000));
        let waits = tokio::spawn(waits.into_future());
        queued(&server, "res", 1).await;
        sleep(50).await;
        // From the grant on nothing reaches the server by this connection.
        proxy.hold_back(0);
        assert!(held.release().await.unwrap());
        let held_back = async || proxy.to_server().held.load(SeqCst) > 0;
        until("the claim is held back", ms(1_500), held_back).await;
        let lease = within(ms(15_000), "claimed", waits).await.unwrap().unwrap();
        // By the server it is much longer, by its holder's reckoning it is not.
        lease.extend(Some(ms(60_000))).await.unwrap();
        assert!(left(&server) > 50_000);
        assert!(lease.expires_in() <= ms(800), "{:?}", lease.expires_in());

        proxy.let_through(0);
        until("it has come", ms(2_000), async || left(&server) <= 800).await;

        let here = lease.expires_in();
        assert!(here <= ms(u64::try_from(left(&server)).unwrap_or(0)) + ms(20));
        drop(lease);
    }
}
