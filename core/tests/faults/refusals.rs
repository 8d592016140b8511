//! Servers that say no: out of memory, a replica, too few replicas, a value of another type.

use leaselock::{ErrorKind, LossReason, ReleaseStatus};

use crate::common::{Server, binaries, ms};
use crate::{client_at, client_with, keys, lost_within, queued, sleep, timed, wait_for};

/// Fills the server with data that is not evicted, until it refuses more.
fn fill(server: &Server) {
    let used = server.text(&["INFO", "memory"]).unwrap();
    let used: u64 = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .and_then(|used| used.trim().parse().ok())
        .expect("used_memory");
    server.run(&["SET", "padding", &"x".repeat(200_000)]);
    server.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.run(&["CONFIG", "SET", "maxmemory", &used.to_string()]);
    server
        .try_run(&["SET", "more", "x"])
        .expect_err("it is full");
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_refuses_the_acquire_whole() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let warm = client_at(&server.url());
        assert!(warm.acquire("warm").await.unwrap().release().await.unwrap());
        fill(&server);

        // By script on a first connection, by MULTI on one that counted just now.
        for client in [client, warm] {
            let (refused, took) = timed(client.acquire("res").into_future()).await;
            let error = refused.expect_err("out of memory");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
            assert!(
                error.message().contains("OOM"),
                "the server's own words: {error}"
            );
            assert!(took < ms(1_000), "at once: {took:?}");
            assert!(!server.exists(&keys("res").lock), "a lock without a token");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_still_renews_extends_and_releases() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
        fill(&server);

        sleep(2_000).await;
        lease.check().expect("renewed although the memory is full");
        lease.extend(Some(ms(5_000))).await.unwrap();
        assert!(lease.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_still_hands_over_or_frees() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let lease = holder.acquire("res").ttl(ms(20_000)).await.unwrap();
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        fill(&server);

        assert!(lease.release().await.unwrap(), "a release works when full");

        match tokio::time::timeout(ms(6_000), waiter)
            .await
            .unwrap()
            .unwrap()
        {
            Ok(next) => assert!(next.token() > lease.token()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}"),
        }
        drop(client.close().await);
        crate::gone_within(&server, "res", ms(3_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_never_counts_as_held() {
    for binary in binaries() {
        let (primary, replica) = (Server::start(&binary, &[]), Server::start(&binary, &[]));
        let client = client_with(&replica.url(), ms(800));
        let lease = client.acquire("res").ttl(ms(1_200)).await.unwrap();

        replica.run(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        let reason = lost_within(&lease, ms(3_000)).await;
        assert!(matches!(reason, LossReason::Expired | LossReason::Released));
        assert!(!lease.held());

        let (refused, took) = timed(client.acquire("res").wait(ms(600)).into_future()).await;
        let error = refused.expect_err("read only");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(took < ms(2_500), "{took:?}");

        replica.run(&["REPLICAOF", "NO", "ONE"]);
        let next = client.acquire("res").await.expect("writable again");
        assert!(next.token() > lease.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_refuse_for_a_while_and_the_ttl_frees_it() {
    for server in Server::each(&[]) {
        let client = client_with(&server.url(), ms(800));
        let lease = client.acquire("res").ttl(ms(1_500)).await.unwrap();

        server.run(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let error = client
            .acquire("other")
            .wait(ms(500))
            .await
            .expect_err("too few replicas");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(error.message().contains("NOREPLICAS"), "{error}");
        assert_eq!(lost_within(&lease, ms(2_500)).await, LossReason::Expired);

        server.run(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        sleep(100).await;
        assert!(!server.exists(&keys("res").lock));
        assert!(client.acquire("res").wait(ms(2_000)).await.unwrap().held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_refused_with_the_servers_words_and_left_alone() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        server.run(&["RPUSH", &keys("res").lock, "x"]);

        let error = client
            .acquire("res")
            .wait(ms(500))
            .await
            .expect_err("a list");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(error.message().contains("WRONGTYPE"), "{error}");
        for error in [
            client.inspect("res").await.map(drop),
            client.release("res", "someone").await.map(drop),
        ] {
            assert_eq!(error.expect_err("a list").kind(), ErrorKind::StoreRefused);
        }
        assert_eq!(server.int(&["LLEN", &keys("res").lock]), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_17_data_under_the_same_word_is_not_the_locks_key() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        server.run(&["SET", "res", "data"]);
        server.run(&["SET", "faults", "data"]);

        let lease = client.acquire("res").await.unwrap();
        assert!(lease.release().await.unwrap());
        assert_eq!(
            client.release("res", "data").await.unwrap(),
            ReleaseStatus::NotFound
        );

        assert_eq!(server.text(&["GET", "res"]).as_deref(), Some("data"));
        assert_eq!(server.text(&["GET", "faults"]).as_deref(), Some("data"));
    }
}
