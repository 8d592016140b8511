//! Who listens to the sentinels, and for how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use leaselock::port::{Begin, Done, Port};
use leaselock::{AcquireOptions, Client, Lease, Request, Unit};

use super::split::{LEFT, clients_of_locks};
use super::{keys, named, on_each, replicated, start};
use crate::callers::{Caller, KINDS, builder};
use crate::common::topology::Sentinels;
use crate::common::{ms, until};

/// How many connections each sentinel has that listen, the other sentinels left out.
fn listeners(sentinels: &Sentinels) -> Vec<usize> {
    let of = sentinels.sentinels.iter().map(|sentinel| {
        let list = sentinel.text(&["CLIENT", "LIST"]).unwrap_or_default();
        list.lines().filter(|line| line.contains(" sub=2 ")).count()
    });
    of.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_or_waits_listens_to_each_sentinel_and_nobody_else_does() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let other = builder(&sentinels.url()).build().unwrap();
        let held = other.acquire("job").await.unwrap();
        until("the holder listens", ms(5_000), async || {
            listeners(&sentinels) == [1, 1, 1]
        })
        .await;
        for kind in KINDS {
            let client = Caller::new(kind, &sentinels.url());
            assert!(client.try_acquire("job").await.unwrap().is_none());
            tokio::time::sleep(ms(200)).await;
            assert_eq!(listeners(&sentinels), [1, 1, 1], "{kind:?} only tried");
            let waiter = client.clone();
            let waiter = tokio::spawn(async move {
                waiter
                    .acquire("job", Some(ms(1_500)))
                    .await
                    .err()
                    .expect("held")
            });
            until("the waiter listens", ms(5_000), async || {
                listeners(&sentinels) == [2, 2, 2]
            })
            .await;
            waiter.await.unwrap();
            // What the client has begun ends with it.
            drop(client);
            until("nobody else listens", ms(5_000), async || {
                listeners(&sentinels) == [1, 1, 1]
            })
            .await;
        }
        assert!(held.release().await.unwrap());
        other.close().await.unwrap();
        until("nobody listens", ms(5_000), async || {
            listeners(&sentinels) == [0, 0, 0]
        })
        .await;
    })
    .await;
}

#[test]
fn a_runtime_ends_although_it_listens() {
    for binary in crate::common::binaries() {
        let sentinels = Sentinels::start(&binary);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = builder(&sentinels.url()).build().unwrap();
        let lease = runtime
            .block_on(async { client.acquire("job").await })
            .unwrap();
        let start = Instant::now();
        drop(runtime);
        assert!(start.elapsed() < ms(1_000), "{:?}", start.elapsed());
        drop((lease, client));
    }
}

/// An event loop that only looks now and then.
struct Loop {
    port: Port<u64>,
    client: Client,
    begun: u64,
    done: HashMap<u64, Done>,
}

impl Loop {
    fn next(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    async fn end_of(&mut self, id: u64) -> Done {
        loop {
            if let Some(done) = self.done.remove(&id) {
                return done;
            }
            let _ = self.port.wants();
            self.port.on_turn();
            self.done.extend(self.port.on_ready());
            self.done.extend(self.port.on_time());
            tokio::time::sleep(ms(1)).await;
        }
    }

    /// Acquires on the line, if there is one.
    async fn acquire(&mut self, name: &str) -> (bool, Lease) {
        let options = AcquireOptions {
            wait: Some(ms(20_000)),
            ..AcquireOptions::default()
        };
        let request = Request::new(name, options, Unit::Seconds).unwrap();
        let (is_line, id) = (self.port.connect(&self.client), self.next());
        let begun = self.port.acquire(&self.client, request, false, |_| id);
        let done = match begun.unwrap() {
            Begin::UnderWay(_) => self.end_of(id).await,
            Begin::Done(_, done) => done,
            Begin::Elsewhere(_) => return (false, self.client.acquire(name).await.unwrap()),
        };
        match done {
            Done::Acquired(lease) => (is_line, lease.unwrap().expect("a lease")),
            Done::Acquiring(lease) => (is_line, lease.await.unwrap().expect("a lease")),
            _ => panic!("an acquire ends as one"),
        }
    }

    async fn release(&mut self, lease: Lease) {
        let (lease, id) = (Arc::new(lease), self.next());
        let done = match self.port.release(&lease, |_| id) {
            Begin::UnderWay(_) => self.end_of(id).await,
            Begin::Done(_, done) => done,
            Begin::Elsewhere(()) => return drop(lease.release().await),
        };
        match done {
            Done::Released(released) => drop(released),
            Done::Releasing(released) => drop(released.await),
            _ => panic!("a release ends as one"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_an_event_loop_leaves_the_old_master_and_there_is_one_to_the_new() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let client = builder(&sentinels.url())
            .runtime(tokio::runtime::Handle::current())
            .build()
            .unwrap();
        let mut on_loop = Loop {
            port: Port::default(),
            client,
            begun: 0,
            done: HashMap::new(),
        };
        let began = Instant::now();
        loop {
            let (is_line, lease) = on_loop.acquire("warm").await;
            on_loop.release(lease).await;
            if is_line {
                break;
            }
            assert!(began.elapsed() < ms(10_000), "no line");
        }
        let (is_line, held) = on_loop.acquire("job").await;
        assert!(is_line);
        replicated(&sentinels, "job", held.owner()).await;
        let old = sentinels.sentinel_failover();
        let (_, new) = named(&sentinels, old, Instant::now()).await;
        let switch = Instant::now();
        // The loop takes and gives back all the while.
        while !clients_of_locks(&sentinels.nodes[0]).is_empty() {
            let (_, lease) = on_loop.acquire("busy").await;
            on_loop.release(lease).await;
            assert!(switch.elapsed() < LEFT, "still at the old master");
        }
        let lease = loop {
            let (is_line, lease) = on_loop.acquire("busy").await;
            if is_line {
                break lease;
            }
            on_loop.release(lease).await;
            assert!(switch.elapsed() < ms(10_000), "no line to the new master");
        };
        let there = sentinels.nodes[new].text(&["GET", &keys("busy").lock]);
        assert_eq!(there.as_deref(), Some(lease.owner()));
        on_loop.release(lease).await;
        assert!(held.held());
        assert!(held.release().await.unwrap());
    })
    .await;
}
