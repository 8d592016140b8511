//! Deadlines: counted from before the command, never later than the server's, with no network needed.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use leaselock::{ErrorKind, LossReason};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, client_with, keys, queued, sleep, wait_for};

/// Each way of getting or prolonging a lease, over a network that answers late.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_11_the_deadline_counts_from_before_the_command() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        assert!(client.inspect("res").await.unwrap().is_none());
        proxy.to_client().delay_ms.store(120, SeqCst);
        let remaining = |lease: &leaselock::Lease| {
            let there = server.int(&["PTTL", &keys("res").lock]);
            let here = i64::try_from(lease.expires_in().as_millis()).unwrap();
            assert!(here <= there, "{here} ms here, {there} ms on the server");
            here
        };

        let by_script = client
            .acquire("res")
            .ttl(ms(1_500))
            .renew(false)
            .await
            .unwrap();
        assert!(remaining(&by_script) <= 1_380);
        by_script.extend(Some(ms(1_000))).await.unwrap();
        assert!(remaining(&by_script) <= 880);
        assert!(by_script.release().await.unwrap());

        let by_multi = client
            .acquire("res")
            .ttl(ms(1_500))
            .renew(false)
            .await
            .unwrap();
        assert!(remaining(&by_multi) <= 1_380);
        proxy.heal();
        assert!(by_multi.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_here_is_never_later_than_the_servers() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let other = server.connect();
        let lease = client
            .acquire("res")
            .ttl(ms(1_000))
            .renew(false)
            .await
            .unwrap();
        let end = Instant::now() + ms(1_200);
        while Instant::now() < end {
            let held = lease.held();
            let there = server.exists(&keys("res").lock);
            // Asked first, so that held means: the server had it at that moment or a later one.
            assert!(!held || there, "held here, gone on the server");
            tokio::task::yield_now().await;
        }
        assert!(!lease.held());
        drop(other);
    }
}

/// The wait may be longer than the lease that is waited for: the lease counts from the grant's claim.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_29_a_lease_counts_from_its_grant_not_from_its_wait() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let first = client.acquire("res").await.unwrap();
        let waiting = client.clone();
        let waiter =
            tokio::spawn(async move { waiting.acquire("res").ttl(ms(500)).renew(false).await });
        queued(&server, "res", 1).await;
        sleep(1_000).await;

        assert!(first.release().await.unwrap());
        let lease = waiter.await.unwrap().unwrap();

        assert!(lease.held());
        let left = lease.expires_in();
        assert!(left > ms(300) && left <= ms(500), "{left:?}");
        let there = server.int(&["PTTL", &keys("res").lock]);
        assert!(
            (300..=500).contains(&there),
            "the full TTL, not the claim window: {there}"
        );
    }
}

/// L1: what its holder left behind is free within its TTL and half a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_holders_name_goes_to_the_waiter_within_ttl_and_half_a_second() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (dead, client) = (client_at(&proxy.url()), client_at(&server.url()));
        let lease = dead.acquire("res").ttl(ms(1_000)).await.unwrap();
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        proxy.refuse();
        let start = Instant::now();

        let next = waiter.await.unwrap().unwrap();

        assert!(start.elapsed() < ms(1_500), "{:?}", start.elapsed());
        assert!(!lease.held(), "never two holders");
        assert!(next.token() > lease.token());
        drop(proxy);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_14_each_failure_is_of_a_kind_of_its_own() {
    for mut server in Server::each(&[]) {
        let (a, b) = (
            client_at(&server.url()),
            client_with(&server.url(), ms(700)),
        );
        let lease = a.acquire("res").ttl(ms(900)).await.unwrap();

        let contended = b.acquire("res").wait(ms(100)).await.expect_err("held");
        assert_eq!(contended.kind(), ErrorKind::LockTimeout);
        a.force_release("res").await.unwrap();
        let lost = lease.extend(None).await.expect_err("gone");
        assert_eq!(lost.kind(), ErrorKind::LeaseLost);
        assert_eq!(lost.loss_reason(), Some(LossReason::Released));
        server.run(&["SET", &keys("list").lock, "x"]);
        server.run(&["DEL", &keys("list").lock]);
        server.run(&["RPUSH", &keys("list").lock, "x"]);
        let refused = b.inspect("list").await.expect_err("a list");
        assert_eq!(refused.kind(), ErrorKind::StoreRefused);
        let invalid = b.inspect("").await.expect_err("no name");
        assert_eq!(invalid.kind(), ErrorKind::InvalidArgument);
        server.kill();
        let unreachable = b
            .acquire("res")
            .wait(ms(100))
            .await
            .expect_err("nobody there");
        assert_eq!(unreachable.kind(), ErrorKind::StoreUnavailable);
        b.close().await.ok();
        let closed = b.acquire("res").await.expect_err("closed");
        assert_eq!(closed.kind(), ErrorKind::ClientClosed);

        let mut texts = vec![];
        for error in [contended, lost, refused, invalid, unreachable, closed] {
            assert!(error.message().len() > 15, "a text for people: {error}");
            texts.push(error.to_string());
        }
        texts.dedup();
        assert_eq!(texts.len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_15_no_lock_and_no_queue_is_ever_without_a_ttl() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let mut plain = server.connect();
        let mut waiters = Vec::new();
        for _ in 0..20 {
            waiters.push(wait_for(&client, "res"));
        }
        let names = keys("res");
        let mut seen = 0;
        while waiters.iter().any(|waiter| !waiter.is_finished()) {
            for key in [&names.lock, &names.queue] {
                let ttl: i64 = redis::cmd("PTTL").arg(key).query(&mut plain).unwrap();
                assert_ne!(ttl, -1, "{key} would stay for ever");
                seen += i64::from(ttl > 0);
            }
            // Whoever has it gives it back; the next is served.
            if let Some(done) = waiters
                .iter()
                .position(tokio::task::JoinHandle::is_finished)
            {
                let lease = waiters.swap_remove(done).await.unwrap().unwrap();
                assert!(lease.release().await.unwrap());
            }
            tokio::task::yield_now().await;
        }
        for waiter in waiters {
            assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
        }
        assert!(seen > 20, "{seen}");
    }
}
