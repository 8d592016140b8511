//! Nothing leaks: keys, connections, subscriptions, tasks.

use leaselock::Client;

use crate::common::{Server, ms, until};
use crate::{client_at, gone_within, queued, sleep, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_33_one_counter_serves_every_name_of_an_app_id() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let other = Client::builder()
            .url(server.url())
            .app_id("other")
            .build()
            .unwrap();
        for round in 0..500 {
            let name = format!("res-{round}");
            assert!(
                client
                    .acquire(&name)
                    .await
                    .unwrap()
                    .release()
                    .await
                    .unwrap()
            );
            assert!(other.acquire(&name).await.unwrap().release().await.unwrap());
        }
        let mut keys: Vec<String> = redis::from_redis_value(server.run(&["KEYS", "*"])).unwrap();
        keys.sort();
        assert_eq!(keys, ["lock||faults||||fence", "lock||other||||fence"]);
        assert_eq!(server.int(&["PTTL", "lock||faults||||fence"]), -1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_26_subscriptions_and_connections_do_not_pile_up() {
    for server in Server::each(&[]) {
        let before = server.connections();
        let (a, b) = (client_at(&server.url()), client_at(&server.url()));
        for round in 0..100 {
            let name = format!("res-{}", round % 7);
            let lease = a.acquire(&name).ttl(ms(20_000)).await.unwrap();
            let waiter = wait_for(&b, &name);
            queued(&server, &name, 1).await;
            assert!(lease.release().await.unwrap());
            assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
        }
        let channels: Vec<String> =
            redis::from_redis_value(server.run(&["PUBSUB", "CHANNELS"])).unwrap();
        assert!(channels.len() <= 2, "one inbox a client: {channels:?}");
        assert!(
            channels.iter().all(|c| c.starts_with("lock||inbox||")),
            "{channels:?}"
        );
        let open = server.connections() - before;
        assert!(open <= 6, "{open} connections for two clients");

        a.close().await.unwrap();
        b.close().await.unwrap();
        drop((a, b));
        until("all connections are closed", ms(2_000), async || {
            server.connections() <= before
        })
        .await;
        let channels: Vec<String> =
            redis::from_redis_value(server.run(&["PUBSUB", "CHANNELS"])).unwrap();
        assert!(channels.is_empty(), "{channels:?}");
        assert_eq!(server.int(&["DBSIZE"]), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_dropped_without_close_leaves_nothing() {
    for server in Server::each(&[]) {
        let before = server.connections();
        for _ in 0..10 {
            let client = client_at(&server.url());
            let lease = client.acquire("res").ttl(ms(20_000)).await.unwrap();
            let waiter = wait_for(&client, "res");
            queued(&server, "res", 1).await;
            waiter.abort();
            drop(lease);
            drop(client);
            gone_within(&server, "res", ms(2_000)).await;
        }
        until("all connections are closed", ms(3_000), async || {
            server.connections() <= before
        })
        .await;
    }
}

#[test]
fn a_blocking_client_dropped_without_close_leaves_nothing() {
    for server in Server::each(&[]) {
        let (connections, threads) = (server.connections(), threads_of_this_process());
        for _ in 0..10 {
            let client = leaselock::blocking::Client::new(&server.url()).unwrap();
            let lease = client.acquire("res").ttl(ms(20_000)).call().unwrap();
            assert!(lease.release().unwrap());
            assert!(client.try_acquire("res").call().unwrap().is_some());
            drop(client);
        }
        let start = std::time::Instant::now();
        while server.connections() > connections || server.exists("lock||res") {
            assert!(
                start.elapsed() < ms(3_000),
                "{} connections",
                server.connections()
            );
            std::thread::sleep(ms(10));
        }
        // Other tests run beside this one, so only a leak of one thread a client would show.
        let more = threads_of_this_process().saturating_sub(threads);
        eprintln!("{more} threads more than before");
    }
}

fn threads_of_this_process() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn close_gives_back_everything_and_ends_the_waiters() {
    for server in Server::each(&[]) {
        let (client, other) = (client_at(&server.url()), client_at(&server.url()));
        let mut leases = Vec::new();
        for round in 0..50 {
            leases.push(
                client
                    .acquire(format!("res-{round}"))
                    .ttl(ms(60_000))
                    .await
                    .unwrap(),
            );
        }
        let foreign = other.acquire("foreign").ttl(ms(60_000)).await.unwrap();
        let waiter = wait_for(&client, "foreign");
        queued(&server, "foreign", 1).await;

        client.close().await.unwrap();

        let error = waiter.await.unwrap().expect_err("its client is closed");
        assert_eq!(error.kind(), leaselock::ErrorKind::ClientClosed);
        assert!(leases.iter().all(|lease| !lease.held()));
        assert_eq!(client.stats().held, 0);
        assert!(foreign.release().await.unwrap());
        assert_eq!(server.int(&["DBSIZE"]), 1, "the counter alone is left");
        client.close().await.expect("closing again is fine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_ends_in_time_at_a_server_that_is_silent() {
    for server in Server::each(&[]) {
        let client = crate::client_with(&server.url(), ms(800));
        let lease = client.acquire("res").ttl(ms(2_000)).await.unwrap();
        server.pause();
        let (_, took) = crate::timed(client.close()).await;
        assert!(took < ms(1_300), "{took:?}");
        assert!(!lease.held());
        server.resume();
        sleep(2_100).await;
        assert!(!server.exists(&crate::keys("res").lock), "the TTL frees it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_in_the_middle_of_an_acquire_leaves_no_lock() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        // Connected, so that the command itself is under way.
        assert!(client.inspect("other").await.unwrap().is_none());
        server.pause();
        let acquiring = client.clone();
        let acquire = tokio::spawn(async move { acquiring.acquire("res").await.map(drop) });
        sleep(100).await;
        let closing = client.clone();
        let close = tokio::spawn(async move { closing.close().await });
        sleep(100).await;
        server.resume();
        let error = acquire.await.unwrap().expect_err("closed");
        assert_eq!(error.kind(), leaselock::ErrorKind::ClientClosed, "{error}");
        close.await.unwrap().unwrap();
        gone_within(&server, "res", ms(500)).await;
    }
}
