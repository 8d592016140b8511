//! Calls given up at every point leave nothing, in a file and in memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use leaselock::Client;

use crate::places::{Folder, fresh, ms};

/// Polls a future so many times and then gives it up: at once, or only when it could go on.
struct GiveUp<F> {
    inner: Pin<Box<F>>,
    polls: usize,
    at_once: bool,
}

impl<F: Future> Future for GiveUp<F> {
    /// `None` when it was given up.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.polls == 0 && self.at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

const MANY: usize = 40;

/// Waits until `name` is neither held nor waited for.
async fn free(client: &Client, name: &str) {
    let start = std::time::Instant::now();
    while client.inspect(name).await.expect("a look").is_some() {
        assert!(start.elapsed() < ms(2_000), "{name} is still held");
        tokio::time::sleep(ms(2)).await;
    }
}

async fn waiters(client: &Client, name: &str) -> u64 {
    client
        .inspect(name)
        .await
        .expect("a look")
        .expect("held")
        .waiters
}

/// Everything that can be given up, on the store at `url`.
async fn give_up_everywhere(url: &str) {
    for at_once in [true, false] {
        // A client of its own each time, so that opening the store is given up too.
        for polls in 1..MANY {
            let client = Client::new(url).expect("a client");
            let acquire = client
                .acquire("job")
                .ttl(Duration::from_secs(60))
                .into_future();
            let inner = Box::pin(acquire);
            if let Some(done) = (GiveUp {
                inner,
                polls,
                at_once,
            })
            .await
            {
                assert!(done.expect("acquired").release().await.expect("released"));
                break;
            }
            assert!(polls + 1 < MANY, "never done");
            free(&client, "job").await;
            let stats = client.stats();
            assert_eq!((stats.held, stats.waiting), (0, 0), "{stats:?}");
            client.close().await.expect("closed");
        }
    }

    let (holder, client) = (
        Client::new(url).expect("a client"),
        Client::new(url).expect("a client"),
    );
    let lease = holder
        .acquire("job")
        .ttl(Duration::from_secs(60))
        .await
        .expect("acquired");
    for at_once in [true, false] {
        for polls in 1..12 {
            let inner = Box::pin(client.acquire("job").into_future());
            // A waiter that sleeps is polled no more: then the time ends it.
            let _ = tokio::time::timeout(
                ms(40),
                GiveUp {
                    inner,
                    polls,
                    at_once,
                },
            )
            .await;
            let start = std::time::Instant::now();
            while waiters(&holder, "job").await > 0 {
                assert!(start.elapsed() < ms(2_000), "it is still queued");
                tokio::time::sleep(ms(2)).await;
            }
        }
    }
    lease.check().expect("held");
    assert!(lease.release().await.expect("released"));
    assert!(holder.inspect("job").await.expect("a look").is_none());

    for polls in 1..MANY {
        let lease = client
            .acquire("job")
            .ttl(Duration::from_secs(60))
            .await
            .expect("acquired");
        let inner = Box::pin(lease.release());
        if let Some(released) = (GiveUp {
            inner,
            polls,
            at_once: true,
        })
        .await
        {
            assert!(released.expect("released"));
            break;
        }
        free(&client, "job").await;
    }
    client.close().await.expect("closed");
    holder.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_at_any_poll_leaves_nothing_in_memory() {
    give_up_everywhere(&format!("memory:{}", fresh())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_at_any_poll_leaves_nothing_in_a_file() {
    let folder = Folder::new();
    give_up_everywhere(&folder.url()).await;
    assert_eq!(folder.content(), ["locks.db"]);
    let left: i64 =
        folder.value("SELECT (SELECT count(*) FROM locks) + (SELECT count(*) FROM waiters)");
    assert_eq!(left, 0);
}

/// The grant crosses the cancellation: it must be passed on to the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_crosses_a_cancellation_is_passed_on() {
    let folder = Folder::new();
    let memory = format!("memory:{}", fresh());
    for url in [folder.url(), memory] {
        let [holder, leaving, staying] = [(); 3].map(|()| Client::new(&url).expect("a client"));
        for round in 0..60_u64 {
            let lease = holder.acquire("job").await.expect("acquired");
            let wait = |client: &Client| {
                let client = client.clone();
                tokio::spawn(async move { client.acquire("job").await })
            };
            let first = wait(&leaving);
            while waiters(&holder, "job").await < 1 {}
            let second = wait(&staying);
            while waiters(&holder, "job").await < 2 {}

            let release = tokio::spawn(async move { lease.release().await });
            tokio::time::sleep(Duration::from_micros(round * 10)).await;
            first.abort();
            assert!(release.await.expect("no panic").expect("released"));
            drop(first.await);
            let next = tokio::time::timeout(ms(1_000), second)
                .await
                .expect("passed on");
            assert!(
                next.expect("no panic")
                    .expect("served")
                    .release()
                    .await
                    .expect("released")
            );
            free(&holder, "job").await;
        }
        for client in [holder, leaving, staying] {
            client.close().await.expect("closed");
        }
    }
}
