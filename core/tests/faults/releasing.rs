//! Giving back: never an exception for a lease that has already gone, never the next holder's.

use leaselock::{ErrorKind, LeaseState, LossReason};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, client_with, gone_within, keys, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_13_releasing_an_expired_lease_is_no_error() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client
            .acquire("res")
            .ttl(ms(150))
            .renew(false)
            .await
            .unwrap();
        sleep(250).await;
        assert!(!lease.release().await.unwrap());
        assert!(!lease.release().await.unwrap());

        let next = client.acquire("res").await.unwrap();
        assert!(!lease.release().await.unwrap());
        assert_eq!(
            server.text(&["GET", &keys("res").lock]).as_deref(),
            Some(next.owner())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_09_extend_and_release_at_once_never_leave_the_key() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for round in 0..200 {
            let lease = client.acquire("res").ttl(ms(20_000)).await.unwrap();
            let (extended, released) = if round % 2 == 0 {
                tokio::join!(lease.extend(Some(ms(30_000))), lease.release())
            } else {
                let (released, extended) =
                    tokio::join!(lease.release(), lease.extend(Some(ms(30_000))));
                (extended, released)
            };
            assert!(released.unwrap(), "this lease gave it back");
            if let Err(error) = extended {
                assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
            }
            assert!(!server.exists(&keys("res").lock), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_09_renewal_and_release_at_once_never_leave_the_key() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        // A renewal is due every 34 ms: each delay ends near one.
        for round in 0..60_u64 {
            let lease = client.acquire("res").ttl(ms(100)).await.unwrap();
            sleep(28 + round % 12).await;
            lease.release().await.unwrap();
            let next = client.acquire("res").ttl(ms(20_000)).await.unwrap();
            assert!(next.release().await.unwrap());
            assert!(!server.exists(&keys("res").lock), "round {round}");
        }
        sleep(200).await;
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_released_before_the_command_is_sent() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(500));
        let lease = client.acquire("res").ttl(ms(20_000)).await.unwrap();
        proxy.black_hole();

        let error = lease.release().await.expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert_eq!(lease.state(), LeaseState::Released);
        assert!(!lease.held());

        proxy.heal();
        assert!(
            lease.release().await.unwrap(),
            "tried again, it is its own success"
        );
        gone_within(&server, "res", ms(1_000)).await;
        assert_eq!(client.stats().lost, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_no_loss_and_never_signals_one() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(300)).await.unwrap();
        lease.on_lost(Box::new(|reason| panic!("a release signalled {reason}")));
        assert!(lease.release().await.unwrap());
        tokio::time::timeout(ms(900), lease.lost())
            .await
            .expect_err("never lost");
        assert_eq!(lease.loss_reason(), None);
    }
}

/// The owner is the lease's whole identity: no thread, task or client matters.
#[test]
fn field_bug_22_a_lease_is_released_on_any_thread() {
    for server in Server::each(&[]) {
        let client = leaselock::blocking::Client::new(&server.url()).unwrap();
        let lease = std::thread::scope(|threads| {
            threads
                .spawn(|| client.acquire("res").ttl(ms(20_000)).call().unwrap())
                .join()
                .unwrap()
        });
        let key = "lock||res";
        assert!(server.exists(key));
        let released = std::thread::spawn(move || lease.release()).join().unwrap();
        assert!(released.unwrap());
        assert!(!server.exists(key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_lease_is_given_back_in_the_background() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        drop(client.acquire("res").ttl(ms(20_000)).await.unwrap());
        gone_within(&server, "res", ms(1_000)).await;

        let detached = client.acquire("res").ttl(ms(1_000)).await.unwrap();
        detached.detach();
        drop(detached);
        sleep(300).await;
        assert!(server.exists(&keys("res").lock), "a detached one is not");
        sleep(900).await;
        assert!(!server.exists(&keys("res").lock), "it runs out");
    }
}

#[test]
fn a_dropped_blocking_lease_is_given_back_too() {
    for server in Server::each(&[]) {
        let client = leaselock::blocking::Client::new(&server.url()).unwrap();
        drop(client.acquire("res").ttl(ms(20_000)).call().unwrap());
        let start = std::time::Instant::now();
        while server.exists("lock||res") {
            assert!(start.elapsed() < ms(1_000));
            std::thread::sleep(ms(5));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn release_by_owner_and_by_force_are_told_to_the_holder() {
    for server in Server::each(&[]) {
        let (client, other) = (client_at(&server.url()), client_at(&server.url()));
        for force in [false, true] {
            let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
            let status = if force {
                other.force_release("res").await.unwrap()
            } else {
                other.release("res", lease.owner()).await.unwrap()
            };
            assert_eq!(status.as_str(), "RELEASED");
            assert_eq!(
                crate::lost_within(&lease, ms(900)).await,
                LossReason::Released
            );
            assert!(!lease.release().await.unwrap());
        }
    }
}
