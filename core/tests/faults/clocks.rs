//! A server whose clock jumps by an hour: two can hold at once, the token tells, and nothing stays stuck.

use std::time::Instant;

use crate::common::clock::Shifted;
use crate::common::ms;
use crate::{client_at, keys, lost_within, queued, sleep, wait_for};

const HOUR: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_makes_a_second_holder_with_the_larger_token() {
    for clock in Shifted::each() {
        let server = &clock.server;
        let (a, b) = (client_at(&server.url()), client_at(&server.url()));
        let first = a.acquire("res").ttl(ms(2_400)).await.unwrap();
        let waiter = wait_for(&b, "res");
        queued(server, "res", 1).await;

        clock.move_to(HOUR);
        let start = Instant::now();
        let second = waiter.await.unwrap().unwrap();

        assert!(start.elapsed() < ms(3_500), "{:?}", start.elapsed());
        assert!(second.token() > first.token(), "the resource can tell");
        // The first learns of it at its next renewal, within a third of its TTL.
        lost_within(&first, ms(2_400)).await;
        assert!(!first.release().await.unwrap());
        second.check().unwrap();
        assert!(second.release().await.unwrap());

        // Set right again, the clock is an hour behind the counter, which goes on all the same.
        clock.move_to(0);
        for client in [&a, &b, &client_at(&server.url())] {
            let third = client.acquire("res").await.unwrap();
            assert!(third.token() > second.token());
            assert!(third.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_costs_a_living_holder_nothing() {
    for clock in Shifted::each() {
        let server = &clock.server;
        let (a, b) = (client_at(&server.url()), client_at(&server.url()));
        let first = a.acquire("res").ttl(ms(1_500)).await.unwrap();
        let waiter = wait_for(&b, "res");
        queued(server, "res", 1).await;

        clock.move_to(-HOUR);
        assert!(
            server.int(&["PTTL", &keys("res").lock]) > HOUR / 2,
            "the key's end did not move"
        );
        sleep(3_500).await;

        first.check().expect("renewed");
        let left = server.int(&["PTTL", &keys("res").lock]);
        assert!(
            (1..=1_500).contains(&left),
            "set right by the renewal: {left}"
        );
        assert!(!waiter.is_finished());
        assert!(first.release().await.unwrap());
        let second = waiter.await.unwrap().unwrap();
        assert!(second.token() > first.token());
        assert!(second.release().await.unwrap());
        let third = client_at(&server.url()).acquire("res").await.unwrap();
        assert!(
            third.token() > second.token(),
            "also for a client that had not counted yet"
        );
    }
}

/// Its holder is dead and its end an hour away: the holder's own deadline holds, and a forced release frees the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_holders_key_after_a_jump_back_is_freed_by_force() {
    for clock in Shifted::each() {
        let server = &clock.server;
        let (a, b) = (client_at(&server.url()), client_at(&server.url()));
        let first = a.acquire("res").ttl(ms(800)).renew(false).await.unwrap();
        let waiter = wait_for(&b, "res");
        queued(server, "res", 1).await;

        clock.move_to(-HOUR);
        sleep(1_000).await;
        assert!(!first.held(), "its own clock did not jump");
        assert!(server.exists(&keys("res").lock));
        assert_eq!(b.force_release("res").await.unwrap().as_str(), "RELEASED");

        let second = tokio::time::timeout(ms(1_000), waiter).await.unwrap();
        assert!(second.unwrap().unwrap().token() > first.token());
    }
}
