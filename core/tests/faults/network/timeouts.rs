//! A server that is silent: how long to wait is what the caller said.

use std::sync::Arc;
use std::time::Duration;

use leaselock::{Error, ErrorKind};

use super::{Caller, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{client_at, queued, sleep, timed};

const WARMTHS: [Warmth; 3] = [Warmth::Cold, Warmth::Shared, Warmth::Warm];
const EARLY: Duration = ms(50);
const LATE: Duration = ms(300);

/// It took as long as it was to, and found nobody.
fn unavailable_after(limit: Duration, error: &Error, took: Duration, what: &str) {
    assert_eq!(
        error.kind(),
        ErrorKind::StoreUnavailable,
        "{what}: {error} after {took:?}"
    );
    assert!(
        took + EARLY >= limit && took <= limit + LATE,
        "{what}: {took:?} instead of {limit:?}: {error}"
    );
}

/// A server that was stopped, and a client for each combination, made before.
async fn stopped<F: Future<Output = ()> + Send + 'static>(
    waits: &'static [u64],
    command_timeout: Duration,
    test: impl Fn(Caller, u64, String) -> F + Copy + Send + Sync + 'static,
) {
    on_each(move |binary| async move {
        let server = Server::start(&binary, &[]);
        let proxy = Arc::new(Proxy::start(server.port).await);
        let mut clients = Vec::new();
        for &wait in waits {
            for kind in KINDS {
                for warmth in WARMTHS {
                    let client = Caller::behind(&proxy, kind, warmth, command_timeout).await;
                    clients.push((client, wait, format!("{kind:?}, {warmth:?}, {wait} ms")));
                }
            }
        }
        // As long as a take has to go by the script again, and beyond.
        sleep(1_100).await;
        server.pause();
        all(clients
            .into_iter()
            .map(|(client, wait, what)| test(client, wait, what)))
        .await;
        server.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_41_a_wait_is_what_bounds_an_acquire_at_a_silent_server() {
    stopped(
        &[200, 1_000, 2_000, 4_000],
        ms(5_000),
        |client, wait, what| async move {
            let (taken, took) = timed(client.acquire(&what, ms(20_000), Some(ms(wait)))).await;
            unavailable_after(ms(wait), &taken.map(drop).expect_err(&what), took, &what);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_41_trying_once_ends_after_the_command_timeout() {
    const COMMAND_TIMEOUT: Duration = ms(1_500);
    stopped(&[0], COMMAND_TIMEOUT, |client, wait, what| async move {
        let (taken, took) = timed(client.acquire(&what, ms(20_000), Some(ms(wait)))).await;
        let error = taken.map(drop).expect_err(&what);
        unavailable_after(COMMAND_TIMEOUT, &error, took, &what);
    })
    .await;
    stopped(&[0], COMMAND_TIMEOUT, |client, _, what| async move {
        let (taken, took) = timed(client.try_acquire(&what)).await;
        let error = taken.map(drop).expect_err(&what);
        unavailable_after(COMMAND_TIMEOUT, &error, took, &what);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_41_a_waiter_that_is_queued_ends_with_its_wait() {
    on_each(|binary| async move {
        let server = Arc::new(Server::start(&binary, &[]));
        let holder = client_at(&server.url());
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let mut waiting = Vec::new();
        for (number, (kind, wait)) in [
            (Kind::Async, 1_500),
            (Kind::Blocking, 1_500),
            (Kind::Async, 4_500),
            (Kind::Blocking, 4_500),
        ]
        .into_iter()
        .enumerate()
        {
            let client = Caller::new(kind, &server.url(), ms(5_000));
            assert!(client.inspect("other").await.unwrap().is_none());
            waiting.push(tokio::spawn(async move {
                let acquire = client.acquire("res", ms(20_000), Some(ms(wait)));
                (timed(acquire).await, kind, wait)
            }));
            queued(&server, "res", i64::try_from(number).unwrap() + 1).await;
        }
        server.pause();
        for waiting in waiting {
            let ((taken, took), kind, wait) = waiting.await.unwrap();
            let error = taken.map(drop).expect_err("it is held by another");
            let what = format!("{kind:?}, {wait} ms: {error} after {took:?}");
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::LockTimeout | ErrorKind::StoreUnavailable
                ),
                "{what}"
            );
            assert!(
                took + EARLY >= ms(wait) && took <= ms(wait) + LATE,
                "{what}"
            );
        }
        server.resume();
        assert!(lease.release().await.unwrap());
    })
    .await;
}
