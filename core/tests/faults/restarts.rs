//! A server that restarts, with and without its data, or stops for a while.

use leaselock::{ErrorKind, LeaseState, LossReason};

use crate::common::{Server, binaries, ms};
use crate::{client_at, client_with, keys, lost_within, queued, sleep, timed, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_keeps_the_data_keeps_the_lease() {
    for binary in binaries() {
        let mut server = Server::start_durable(&binary);
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(3_000)).await.unwrap();

        server.kill();
        sleep(300).await;
        server.start_again();
        sleep(3_500).await;

        lease.check().unwrap();
        assert_eq!(
            server.text(&["GET", &keys("res").lock]).as_deref(),
            Some(lease.owner())
        );
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_37_a_restart_without_data_is_noticed_and_the_token_still_grows() {
    for mut server in Server::each(&[]) {
        let (old, new) = (client_at(&server.url()), client_at(&server.url()));
        let first = old.acquire("res").ttl(ms(1_500)).await.unwrap();

        server.kill();
        server.start_again();
        let second = new.acquire("res").ttl(ms(1_500)).await.unwrap();

        assert!(second.token() > first.token(), "the resource can tell");
        let (reason, took) = timed(lost_within(&first, ms(2_000))).await;
        // It is looked for at once, also before the new one has it.
        assert!(matches!(reason, LossReason::Taken | LossReason::Released));
        assert!(took < ms(1_500), "{took:?}");
        assert!(!first.release().await.unwrap());
        second.check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_grows_for_a_client_that_counted_before_the_restart() {
    for mut server in Server::each(&[]) {
        let client = client_at(&server.url());
        let mut last = 0;
        for _ in 0..3 {
            for _ in 0..5 {
                let lease = client.acquire("res").await.unwrap();
                assert!(lease.token() > last, "{} after {last}", lease.token());
                assert!(lease.token() < 1 << 53);
                last = lease.token();
                assert!(lease.release().await.unwrap());
            }
            server.kill();
            server.start_again();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_grows_over_flushall_between_any_two_takes() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let mut last = 0;
        for _ in 0..20 {
            let lease = client.acquire("res").await.unwrap();
            assert!(lease.token() > last, "{} after {last}", lease.token());
            last = lease.token();
            server.run(&["FLUSHALL"]);
            assert!(!lease.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_rides_out_a_restart_and_is_served() {
    for mut server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let lease = holder.acquire("res").ttl(ms(2_000)).await.unwrap();
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;

        server.kill();
        sleep(500).await;
        assert!(!waiter.is_finished(), "an outage does not end a wait");
        server.start_again();

        let (next, took) = timed(waiter).await;
        let next = next.unwrap().expect("served");
        assert!(took < ms(4_000), "{took:?}");
        assert!(next.token() > lease.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_runs_out_during_an_outage_says_so() {
    for mut server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let _lease = holder.acquire("res").await.unwrap();
        let waiting = client.clone();
        let waiter = tokio::spawn(async move { waiting.acquire("res").wait(ms(1_200)).await });
        queued(&server, "res", 1).await;

        server.kill();
        let error = waiter.await.unwrap().expect_err("nobody can serve it");

        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    }
}

/// S2 and D1: the holder knows at its own deadline, with no network.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_16_a_stopped_server_never_leaves_held_true_past_the_deadline() {
    for server in Server::each(&[]) {
        let client = client_with(&server.url(), ms(1_000));
        let lease = client.acquire("res").ttl(ms(1_200)).await.unwrap();

        server.pause();
        sleep(800).await;
        // A renewal has gone unanswered by now.
        assert_eq!(lease.state(), LeaseState::Unsure);
        assert!(lease.held(), "unsure is still held");
        let (reason, took) = timed(lost_within(&lease, ms(1_500))).await;
        assert_eq!(reason, LossReason::Expired);
        assert!(took < ms(1_000), "{took:?}");
        assert!(!lease.held());
        assert_eq!(lease.expires_in(), ms(0));
        let late = lease.check().expect_err("lost");
        assert_eq!(late.kind(), ErrorKind::LeaseLost);
        assert!(client.stats().renew_failures > 0);

        // On resume the key has run out on the server, too, and nothing brings it back.
        sleep(300).await;
        server.resume();
        sleep(1_500).await;
        assert!(!server.exists(&keys("res").lock));
        assert!(!lease.release().await.unwrap());
        let next = client.acquire("res").wait(ms(2_000)).await.unwrap();
        assert!(next.token() > lease.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_stop_costs_nothing() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(2_400)).await.unwrap();

        server.pause();
        sleep(1_200).await;
        server.resume();
        sleep(2_000).await;

        lease.check().unwrap();
        assert_eq!(lease.state(), LeaseState::Held);
        assert!(lease.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unavailable_and_later_used() {
    for mut server in Server::each(&[]) {
        let client = client_with(&server.url(), ms(800));
        server.kill();

        let (refused, took) = timed(client.acquire("res").into_future()).await;
        let error = refused.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(took < ms(2_500), "{took:?}");
        let error = client
            .try_acquire("res")
            .await
            .expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");

        server.start_again();
        let lease = client.acquire("res").await.expect("it is back");
        assert!(lease.release().await.unwrap());
    }
}
