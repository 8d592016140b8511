//! Calls given up half-way: at every await, in a queue, while handed over, by an interrupt.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Instant;

use leaselock::{Client, ErrorKind, Lease};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::grants::{Inbox, client_apart, spawn_apart};
use crate::{client_at, gone_within, keys, queued, sleep, wait_for};

/// Polls a future so many times and then gives it up: at once, or only when it could go on.
pub(crate) struct GiveUp<F> {
    inner: Pin<Box<F>>,
    polls: usize,
    at_once: bool,
}

impl<F: Future> GiveUp<F> {
    pub(crate) fn after(polls: usize, at_once: bool, inner: F) -> Self {
        Self {
            inner: Box::pin(inner),
            polls,
            at_once,
        }
    }
}

impl<F: Future> Future for GiveUp<F> {
    /// `None` when it was given up.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.inner.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.polls == 0 && self.at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// More polls than any acquire needs.
const MANY: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_01_an_acquire_dropped_at_any_poll_leaves_nothing_that_renews() {
    for server in Server::each(&[]) {
        for at_once in [true, false] {
            // A connection of its own each time, so that connecting is given up, too.
            for polls in 1..MANY {
                let client = client_at(&server.url());
                let name = format!("res-{at_once}-{polls}");
                let acquire = client.acquire(&name).ttl(ms(400)).into_future();
                if let Some(done) = GiveUp::after(polls, at_once, acquire).await {
                    assert!(done.unwrap().release().await.unwrap());
                    break;
                }
                assert!(polls + 1 < MANY, "never done");
                gone_within(&server, &name, ms(2_000)).await;
                let stats = client.stats();
                assert_eq!((stats.held, stats.waiting), (0, 0), "{stats:?}");
            }
        }
        sleep(1_000).await;
        assert_eq!(server.int(&["DBSIZE"]), 1, "the counter alone is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_20_a_warm_acquire_dropped_at_any_poll_is_undone() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        assert!(
            client
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap()
        );
        for at_once in [true, false] {
            for polls in 1..MANY {
                let acquire = client.acquire("res").ttl(ms(20_000)).into_future();
                if let Some(done) = GiveUp::after(polls, at_once, acquire).await {
                    assert!(done.unwrap().release().await.unwrap());
                    break;
                }
                assert!(polls + 1 < MANY, "never done");
                gone_within(&server, "res", ms(2_000)).await;
            }
        }
        assert_eq!(client.stats().held, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_20_a_waiter_dropped_at_any_poll_leaves_the_queue() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        for at_once in [true, false] {
            for polls in 1..12 {
                let acquire = client.acquire("res").into_future();
                let given_up = GiveUp::after(polls, at_once, acquire);
                // A waiter that sleeps is polled no more: then the time ends it.
                let _ = tokio::time::timeout(ms(60), given_up).await;
                let queue = keys("res").queue;
                crate::until("it left the queue", ms(2_000), async || {
                    !server.exists(&queue)
                })
                .await;
            }
        }
        crate::until("it waits no more", ms(1_000), async || {
            client.stats().waiting == 0
        })
        .await;
        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

/// The grant crosses the cancellation: it must be passed on to the next in the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_crosses_a_cancellation_is_passed_on() {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        let (leaving, staying) = (client_at(&server.url()), client_at(&server.url()));
        for round in 0..40_u64 {
            let lease = holder.acquire("res").ttl(ms(20_000)).await.unwrap();
            let first = wait_for(&leaving, "res");
            queued(&server, "res", 1).await;
            let second = wait_for(&staying, "res");
            queued(&server, "res", 2).await;

            let release = tokio::spawn(async move { lease.release().await });
            tokio::time::sleep(std::time::Duration::from_micros(round * 40)).await;
            first.abort();
            assert!(release.await.unwrap().unwrap());
            drop(first.await);

            let start = Instant::now();
            let next = second.await.unwrap().expect("served");
            assert!(
                start.elapsed() < ms(1_000),
                "round {round}: {:?}",
                start.elapsed()
            );
            assert!(next.release().await.unwrap());
            gone_within(&server, "res", ms(1_000)).await;
        }
    }
}

/// Given up before it queues, asleep, with the grant unread, in the middle of a claim: the next in the queue is served. The
/// last that is not given up has a lease that began with its grant.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_dropped_at_any_poll_of_its_hand_over_passes_the_name_on() {
    for server in Server::each(&[]) {
        let (holder, client, next) = (
            client_at(&server.url()),
            client_apart(&server.url()),
            client_at(&server.url()),
        );
        let inbox = Inbox::of(&server, client.id());
        for at_once in [true, false] {
            for polls in 1..MANY {
                let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
                let acquire = client.acquire("res").into_future();
                let waiter = spawn_apart(GiveUp::after(polls, at_once, acquire));
                crate::until("it waits or was given up", ms(5_000), async || {
                    waits(&server, &client) || waiter.is_finished()
                })
                .await;
                let second = wait_for(&next, "res");
                crate::until("the next waits", ms(5_000), async || waits(&server, &next)).await;
                sleep(10).await;
                assert!(lease.release().await.unwrap());

                let mut begun = false;
                if let Some(first) = waiter.await.unwrap() {
                    let first = first.unwrap();
                    begun = inbox.was_granted(first.token());
                    assert!(first.release().await.unwrap());
                }
                let start = Instant::now();
                let second = second.await.unwrap().expect("served");
                let took = start.elapsed();
                assert!(took < ms(1_500), "{polls} polls: {took:?}");
                assert!(second.token() > lease.token());
                assert!(second.release().await.unwrap());
                gone_within(&server, "res", ms(1_000)).await;
                if begun {
                    break;
                }
                assert!(polls + 1 < MANY, "never begun");
            }
        }
        crate::until("nothing is left", ms(2_000), async || {
            let stats = client.stats();
            (stats.held, stats.waiting) == (0, 0)
        })
        .await;
    }
}

/// Whether a waiter of this client is queued.
fn waits(server: &Server, client: &Client) -> bool {
    let queue = server.run(&["ZRANGE", &keys("res").queue, "0", "-1"]);
    let members: Vec<String> = redis::from_redis_value(queue).unwrap();
    members.iter().any(|member| member.contains(client.id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_runs_out_in_the_instant_of_the_grant_loses_nothing() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let mut served = 0;
        for _ in 0..40 {
            let lease = holder.acquire("res").ttl(ms(20_000)).await.unwrap();
            let waiting = client.clone();
            let waiter = tokio::spawn(async move { waiting.acquire("res").wait(ms(60)).await });
            sleep(59).await;
            assert!(lease.release().await.unwrap());
            match waiter.await.unwrap() {
                Ok(next) => {
                    served += 1;
                    next.check().unwrap();
                    assert!(next.release().await.unwrap());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::LockTimeout, "{error}"),
            }
            gone_within(&server, "res", ms(1_000)).await;
        }
        eprintln!("{served} of 40 were served");
        assert_eq!(client.stats().held, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_21_a_release_given_up_at_any_poll_still_gives_the_name_back() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for at_once in [true, false] {
            for polls in 1..MANY {
                let lease = client.acquire("res").ttl(ms(60_000)).await.unwrap();
                let done = GiveUp::after(polls, at_once, lease.release()).await;
                if let Some(released) = done {
                    assert!(released.unwrap());
                    break;
                }
                assert!(polls + 1 < MANY, "never done");
                // Either the release that was given up is carried on, or dropping the lease does it.
                drop(lease);
                gone_within(&server, "res", ms(2_000)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_21_a_release_given_up_over_a_slow_network_still_gives_the_name_back() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let lease = client.acquire("res").ttl(ms(60_000)).await.unwrap();
        proxy.to_server().delay_ms.store(200, SeqCst);

        tokio::time::timeout(ms(50), lease.release())
            .await
            .expect_err("slower than that");
        gone_within(&server, "res", ms(2_000)).await;
        assert!(
            lease.release().await.unwrap(),
            "asked again, it was its own success"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extend_given_up_half_way_leaves_a_lease_that_tells_the_truth() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for polls in 1..10 {
            let lease = client
                .acquire("res")
                .ttl(ms(2_000))
                .renew(false)
                .await
                .unwrap();
            let extend = lease.extend(Some(ms(700)));
            if GiveUp::after(polls, true, extend).await.is_some() {
                break;
            }
            // Whatever was carried out, held here means held there, until the end.
            let end = Instant::now() + ms(900);
            while Instant::now() < end {
                let held = lease.held();
                assert!(!held || server.exists(&keys("res").lock));
                sleep(20).await;
            }
            drop(lease.release().await);
            gone_within(&server, "res", ms(1_000)).await;
        }
    }
}

/// A blocking client whose interrupt hook says stop when `stop` is set.
fn interruptible(server: &Server, stop: &Arc<AtomicBool>) -> leaselock::blocking::Client {
    let stop = stop.clone();
    Client::builder()
        .url(server.url())
        .app_id(crate::APP)
        .interrupt(Arc::new(move || Some(stop.load(SeqCst))))
        .build_blocking()
        .unwrap()
}

#[test]
fn field_bug_20_an_interrupted_blocking_acquire_ends_promptly_and_takes_nothing() {
    for server in Server::each(&[]) {
        let holder = leaselock::blocking::Client::new(&server.url()).unwrap();
        drop(holder);
        let stop = Arc::new(AtomicBool::new(false));
        let (client, other) = (
            interruptible(&server, &stop),
            interruptible(&server, &Arc::default()),
        );
        let lease = other.acquire("res").ttl(ms(20_000)).call().unwrap();
        let (error, took) = std::thread::scope(|threads| {
            let waiter = threads.spawn(|| client.acquire("res").call().map(drop));
            let start = Instant::now();
            while server.int(&["ZCARD", &keys("res").queue]) != 1 {
                assert!(start.elapsed() < ms(5_000));
            }
            let start = Instant::now();
            stop.store(true, SeqCst);
            let error = waiter.join().unwrap().expect_err("interrupted");
            (error, start.elapsed())
        });
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        assert!(took < ms(150), "{took:?}");

        assert!(lease.release().unwrap());
        std::thread::sleep(ms(300));
        let names = keys("res");
        assert_eq!(server.int(&["EXISTS", &names.lock, &names.queue]), 0);
        stop.store(false, SeqCst);
        assert!(client.try_acquire("res").call().unwrap().is_some());
    }
}

#[test]
fn field_bug_20_an_interrupted_blocking_acquire_at_a_silent_server_is_undone() {
    for server in Server::each(&[]) {
        let stop = Arc::new(AtomicBool::new(false));
        let client = interruptible(&server, &stop);
        assert!(client.inspect("res").unwrap().is_none());
        server.pause();
        let took = std::thread::scope(|threads| {
            let acquire = threads.spawn(|| client.acquire("res").ttl(ms(20_000)).call().map(drop));
            std::thread::sleep(ms(200));
            let start = Instant::now();
            stop.store(true, SeqCst);
            let error = acquire.join().unwrap().expect_err("interrupted");
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            start.elapsed()
        });
        assert!(took < ms(150), "{took:?}");
        stop.store(false, SeqCst);
        server.resume();

        // The command that was sent takes the name; its undoing follows.
        std::thread::sleep(ms(300));
        let start = Instant::now();
        while server.exists(&keys("res").lock) {
            assert!(start.elapsed() < ms(3_000));
            std::thread::sleep(ms(10));
        }
    }
}

/// A hook that has to wait for its interpreter, say, which is busy for longer than the time-out: the answer came meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_came_while_the_interrupt_hook_took_long_counts() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let busy = Arc::new(AtomicBool::new(false));
        let hook = busy.clone();
        let client = Client::builder()
            .url(proxy.url())
            .command_timeout(ms(1_500))
            .interrupt(Arc::new(move || {
                if hook.swap(false, SeqCst) {
                    std::thread::sleep(ms(2_000));
                }
                Some(false)
            }))
            .build_blocking()
            .unwrap();
        tokio::task::spawn_blocking(move || {
            // Enough for a connection of the caller's own.
            for _ in 0..25 {
                assert!(client.acquire("res").call().unwrap().release().unwrap());
            }
            proxy.to_client().delay_ms.store(150, SeqCst);
            busy.store(true, SeqCst);
            let lease = client.acquire("res").ttl(ms(20_000)).call().expect("free");
            assert!(!busy.load(SeqCst));
            busy.store(true, SeqCst);
            assert!(lease.release().expect("an answer"));
        })
        .await
        .unwrap();
    }
}

/// An acquire that is aborted from outside, again and again, with the name taken and free in turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_aborted_acquires_leaves_nothing() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for round in 0..300_u64 {
            let held: Option<Lease> = if round % 2 == 0 {
                client.try_acquire("res").await.unwrap()
            } else {
                None
            };
            let acquire = wait_for(&client, "res");
            tokio::time::sleep(std::time::Duration::from_micros(round * 17 % 1_500)).await;
            acquire.abort();
            drop(held);
        }
        gone_within(&server, "res", ms(3_000)).await;
        sleep(300).await;
        gone_within(&server, "res", ms(100)).await;
        let stats = client.stats();
        assert_eq!((stats.held, stats.waiting), (0, 0), "{stats:?}");
    }
}
