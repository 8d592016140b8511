//! Networks and servers that are slow: a late answer counts, a connection is not given up in vain, and none is left behind.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use leaselock::LeaseState;

use super::{Caller, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::server::certificates;
use crate::common::{Server, binaries, ms, until};
use crate::{client_at, queued, sleep, timed, wait_for};

const COMMAND_TIMEOUT: Duration = ms(5_000);

/// Every renewal is too late for its own limit, and is answered before another connection is there.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_answer_late_do_not_add_up() {
    /// The shared one, one that is being made, and one that is being closed.
    const FEW: usize = 3;
    const MANY: usize = 7;
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        all(KINDS.map(|kind| {
            let port = server.port;
            async move {
                let few = FEW + usize::from(kind == Kind::Blocking);
                let proxy = Proxy::start(port).await;
                let client = Caller::behind(&proxy, kind, Warmth::Shared, COMMAND_TIMEOUT).await;
                let name = format!("{kind:?}");
                let lease = client.acquire(&name, ms(1_200), None).await.unwrap();
                for way in [proxy.to_server(), proxy.to_client()] {
                    way.delay_ms.store(200, SeqCst);
                }
                let (mut most, start) = (0, Instant::now());
                while proxy.accepted() < MANY {
                    most = most.max(proxy.open());
                    let elapsed = start.elapsed();
                    assert!(elapsed < ms(14_000), "{kind:?}: {}", proxy.accepted());
                    // What is renewed next leaves in time for an answer as late as this one.
                    assert_ne!(lease.state(), LeaseState::Lost, "{kind:?}: {elapsed:?}");
                    sleep(20).await;
                }
                assert!(most <= few, "{kind:?}: {most} at once");
                proxy.heal();
                until("held again", ms(1_500), async || {
                    lease.state() == LeaseState::Held
                })
                .await;
                until("the others are closed", ms(5_000), async || {
                    proxy.open() <= few - 2
                })
                .await;
                assert!(lease.release().await.unwrap(), "{kind:?}");
            }
        }))
        .await;
    })
    .await;
}

/// While another one was being made the shared connection answered, and is used again. The other one, late itself, takes
/// nobody's place: those who wait by then are told by the first one.
#[tokio::test(flavor = "multi_thread")]
async fn grants_come_by_a_connection_that_serves_again() {
    const WAITERS: usize = 4;
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let (client, other) = (client_at(&proxy.url()), client_at(&server.url()));
        let names: [_; WAITERS] = std::array::from_fn(|number| format!("n{number}"));
        let mut held = Vec::new();
        for name in &names {
            held.push(other.acquire(name).ttl(ms(60_000)).await.unwrap());
        }
        let lease = client.acquire("res").ttl(ms(3_000)).await.unwrap();
        proxy.hold_back(0);
        proxy.hold_back(1);
        until("unsure", ms(2_900), async || {
            lease.state() == LeaseState::Unsure
        })
        .await;
        until("another one is being made", ms(1_000), async || {
            proxy.accepted() == 2
        })
        .await;
        proxy.let_through(0);
        until("the first one serves again", ms(1_000), async || {
            lease.state() == LeaseState::Held
        })
        .await;
        let waiting = names.each_ref().map(|name| wait_for(&client, name));
        for name in &names {
            queued(&server, name, 1).await;
        }
        proxy.let_through(1);
        sleep(500).await;

        assert_eq!(client.stats().reconnects, 0);
        for (lease, waiting) in held.into_iter().zip(waiting) {
            lease.release().await.unwrap();
            let (next, took) = timed(waiting).await;
            // Not by looking again, which waiters do every few seconds.
            assert!(took < ms(1_000), "{took:?}");
            assert!(next.unwrap().unwrap().release().await.unwrap());
        }
    })
    .await;
}

/// A handshake takes several round trips: it has as long as answers have been seen to take.
#[tokio::test(flavor = "multi_thread")]
async fn a_distant_tls_server_is_connected_to() {
    const CALLS: usize = 8;
    let certs = certificates();
    // The Valkey of the tests does not speak TLS.
    for binary in binaries().iter().filter(|binary| binary.name == "redis") {
        let server = Server::start_tls(binary, &certs, "good");
        let proxy = Proxy::start(server.port).await;
        for way in [proxy.to_server(), proxy.to_client()] {
            way.delay_ms.store(200, SeqCst);
        }
        let url = format!(
            "rediss://localhost:{}?tls_insecure_skip_verify=true",
            proxy.port
        );
        let client = Caller::new(Kind::Blocking, &url, COMMAND_TIMEOUT);
        for number in 0..CALLS {
            let name = format!("res-{number}");
            let lease = client.acquire(&name, ms(30_000), None).await;
            drop(lease.expect("a distant server"));
            sleep(600).await;
        }
        // A caller's own beside the shared one, and not a vain attempt with every call.
        assert!(proxy.open() >= 2, "{}", proxy.open());
        assert!(proxy.accepted() < CALLS, "{}", proxy.accepted());
    }
    let _ = std::fs::remove_dir_all(certs);
}

/// Slower than a connection is trusted, and within the command time-out.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_within_the_command_timeout_is_taken_whatever_was_done_meanwhile() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        all(KINDS.map(|kind| {
            let port = server.port;
            async move {
                let proxy = Proxy::start(port).await;
                let client = Caller::behind(&proxy, kind, Warmth::Warm, COMMAND_TIMEOUT).await;
                let before = proxy.accepted();
                // A blocking caller meets it three times: on its own connection, in a handshake, on the new one.
                let delay = match kind {
                    Kind::Async => 3_000,
                    Kind::Blocking => 1_300,
                };
                proxy.to_client().delay_ms.store(delay, SeqCst);
                let name = format!("{kind:?}");
                let (lease, took) = timed(client.acquire(&name, ms(30_000), None)).await;
                let lease = lease.unwrap_or_else(|error| panic!("{kind:?}: {took:?}: {error}"));
                let (released, took) = timed(lease.release()).await;
                let released = released.unwrap_or_else(|e| panic!("{kind:?}: {took:?}: {e}"));
                assert!(released, "{kind:?}");
                let made = proxy.accepted() - before;
                assert!(made <= 3, "{kind:?}: {made}");
            }
        }))
        .await;
    })
    .await;
}
