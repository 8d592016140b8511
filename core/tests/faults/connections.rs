//! Scripts forgotten, connections killed, clients paused, a server that is busy: nothing of it reaches the user.

use std::time::Instant;

use leaselock::{ErrorKind, LeaseState};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, client_with, gone_within, keys, queued, sleep, timed, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_31_forgotten_scripts_are_loaded_again_unseen() {
    for server in Server::each(&[]) {
        let (client, other) = (client_at(&server.url()), client_at(&server.url()));
        let flush = || server.run(&["SCRIPT", "FLUSH"]);
        let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
        flush();
        let waiter = wait_for(&other, "res");
        queued(&server, "res", 1).await;
        flush();
        sleep(1_500).await;
        lease.check().expect("renewed although the script was gone");
        flush();
        lease.extend(Some(ms(2_000))).await.unwrap();
        flush();
        assert!(lease.release().await.unwrap());
        flush();
        let next = waiter.await.unwrap().expect("handed over");
        flush();
        assert_eq!(
            client.inspect("res").await.unwrap().unwrap().owner,
            next.owner()
        );
        flush();
        assert!(next.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_are_made_again_unseen() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(1_500)).await.unwrap();
        for round in 0..10 {
            server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
            let name = format!("other-{round}");
            let other = client.acquire(&name).await.expect("a new connection");
            server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
            assert!(other.release().await.expect("a new connection"));
            sleep(200).await;
        }
        lease.check().unwrap();
        assert_eq!(lease.state(), LeaseState::Held);
        assert!(client.stats().reconnects > 0);
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_24_a_waiter_whose_subscription_is_killed_misses_nothing() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        for kind in ["pubsub", "normal", "pubsub"] {
            let lease = holder.acquire("res").ttl(ms(20_000)).await.unwrap();
            let waiter = wait_for(&client, "res");
            queued(&server, "res", 1).await;

            server.run(&["CLIENT", "KILL", "TYPE", kind]);
            // Released in the instant in which nobody listens: the re-check after subscribing must find it.
            assert!(lease.release().await.unwrap());

            let (next, took) = timed(waiter).await;
            assert!(took < ms(2_000), "after {kind}: {took:?}");
            assert!(next.unwrap().unwrap().release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_subscription_comes_back_and_is_used_again() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let lease = holder.acquire("res").ttl(ms(20_000)).await.unwrap();
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        server.run(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        sleep(700).await;

        assert!(lease.release().await.unwrap());

        let (next, took) = timed(waiter).await;
        next.unwrap().unwrap();
        assert!(
            took < ms(300),
            "by its message, not by a fallback: {took:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_04_a_pause_during_acquire_leaves_no_renewal_behind() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        assert!(client.inspect("res").await.unwrap().is_none());
        server.run(&["CLIENT", "PAUSE", "600", "ALL"]);

        let (lease, took) = timed(client.acquire("res").ttl(ms(2_400)).into_future()).await;

        let lease = lease.expect("late, but in time");
        assert!(took > ms(300), "{took:?}");
        assert!(lease.held());
        assert!(lease.release().await.unwrap());
        sleep(1_500).await;
        assert!(!server.exists(&keys("res").lock), "nothing renews it");
        assert_eq!(client.stats().held, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_04_an_acquire_that_gives_up_during_a_pause_is_undone_after_it() {
    for server in Server::each(&[]) {
        let client = client_with(&server.url(), ms(400));
        assert!(client.inspect("res").await.unwrap().is_none());
        server.run(&["CLIENT", "PAUSE", "1500", "ALL"]);

        let (taken, took) = timed(client.try_acquire("res").ttl(ms(20_000)).into_future()).await;
        assert_eq!(
            taken.expect_err("paused").kind(),
            ErrorKind::StoreUnavailable
        );
        assert!(took < ms(1_300), "{took:?}");

        // The command still waits in the server's buffer, and takes the name when the pause ends.
        sleep(1_600).await;
        gone_within(&server, "res", ms(2_000)).await;
        sleep(1_000).await;
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_03_a_busy_server_does_not_end_the_renewal() {
    for server in Server::each(&[]) {
        server.run(&["CONFIG", "SET", "lua-time-limit", "10"]);
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(1_800)).await.unwrap();
        let busy = server.connect();

        for _ in 0..2 {
            let start = Instant::now();
            occupy(&server, 800);
            assert!(start.elapsed() > ms(600), "it was busy");
            sleep(1_000).await;
            lease.check().expect("renewed after the server was busy");
        }
        drop(busy);

        assert_eq!(lease.state(), LeaseState::Held);
        assert!(lease.release().await.unwrap());
        sleep(300).await;
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquire_at_a_busy_server_waits_for_it() {
    for server in Server::each(&[]) {
        server.run(&["CONFIG", "SET", "lua-time-limit", "10"]);
        let client = client_at(&server.url());
        assert!(client.inspect("res").await.unwrap().is_none());
        let port = server.port;
        let busy = std::thread::spawn(move || occupy_port(port, 700));
        sleep(100).await;

        let lease = client.acquire("res").ttl(ms(5_000)).await.expect("retried");

        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
        busy.join().unwrap();
    }
}

/// Keeps a server busy with a script for so many milliseconds, then kills the script.
fn occupy(server: &Server, millis: u64) {
    occupy_port(server.port, millis);
}

fn occupy_port(port: u16, millis: u64) {
    let connect = || {
        redis::Client::open(format!("redis://127.0.0.1:{port}"))
            .and_then(|client| client.get_connection())
            .expect("a connection")
    };
    let (mut script, mut killer) = (connect(), connect());
    let running = std::thread::spawn(move || {
        let ended: redis::RedisResult<redis::Value> = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query(&mut script);
        ended.expect_err("it is killed");
    });
    std::thread::sleep(ms(millis));
    let _: redis::Value = redis::cmd("SCRIPT")
        .arg("KILL")
        .query(&mut killer)
        .expect("it is killed");
    running.join().unwrap();
}

/// A connection that is reset while nobody looks is found out by the first write to it. That fails, and whoever drives the
/// connection has to hear of the reset from the system, which a runtime of one thread asks only when it has nothing to do.
#[test]
fn a_reset_that_shows_in_a_write_hangs_no_runtime_of_one_thread() {
    for server in Server::each(&[]) {
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // The network goes on while the client's runtime does not.
            let network = tokio::runtime::Runtime::new().unwrap();
            let proxy = network.block_on(Proxy::start(server.port));
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let client = client_with(&proxy.url(), ms(1_000));
                drop(client.acquire("res").await.unwrap());
                for _ in 0..5 {
                    client.inspect("res").await.unwrap();
                    sleep(50).await;
                    proxy.reset();
                    // The runtime's only thread is busy, and hears nothing of it.
                    std::thread::sleep(ms(100));
                    let inspecting = client.clone();
                    let inspecting = async move { inspecting.inspect("res").await };
                    // It may have been carried out, or not.
                    let _ = tokio::spawn(inspecting).await.unwrap();
                }
            });
            done.send(()).unwrap();
        });
        let ended = is_done.recv_timeout(ms(15_000));
        ended.expect("the runtime goes on, and its timers with it");
    }
}
