//! Connections that a NAT, a balancer or a proxy forgets without a word: new ones work, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use leaselock::LeaseState;

use super::{Caller, Held, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, queued, sleep, timed};

const COMMAND_TIMEOUT: Duration = ms(5_000);
/// An operation on a forgotten connection takes no longer.
const DROP_COSTS: Duration = ms(2_000);

/// A lease is unsure no longer than it takes to make a new connection, once a second at most.
const UNSURE: Duration = ms(2_000);

/// What a lease looked like to whoever looked all the time.
#[derive(Clone, Debug, Default)]
struct Seen {
    states: Vec<LeaseState>,
    unsure_since: Option<Instant>,
    unsure_for: Duration,
}

impl Seen {
    fn look(&mut self, state: LeaseState) {
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
        if state == LeaseState::Unsure {
            let since = *self.unsure_since.get_or_insert_with(Instant::now);
            self.unsure_for = self.unsure_for.max(since.elapsed());
        } else {
            self.unsure_since = None;
        }
    }
}

async fn watch(leases: &[Held], until: Instant) -> Vec<Seen> {
    let mut seen = vec![Seen::default(); leases.len()];
    while Instant::now() < until {
        for (lease, seen) in leases.iter().zip(&mut seen) {
            seen.look(lease.state());
        }
        sleep(5).await;
    }
    seen
}

/// Forgets the connections of a client that holds leases of these TTLs, and looks on for so long.
async fn forgotten(server: Arc<Server>, kind: Kind, ttls: &[u64], watched: Duration) {
    let proxy = Proxy::start(server.port).await;
    let client = Caller::behind(&proxy, kind, Warmth::Warm, COMMAND_TIMEOUT).await;
    let mut leases = Vec::new();
    for ttl in ttls {
        let name = format!("{kind:?}-{ttl}");
        leases.push(client.acquire(&name, ms(*ttl), None).await.unwrap());
    }
    let losses: Vec<_> = leases.iter().map(Held::loss).collect();
    sleep(50).await;
    let before = proxy.accepted();
    let start = Instant::now();

    proxy.forget();
    let seen = watch(&leases, start + watched).await;

    let what = format!("{kind:?}, {ttls:?}: {seen:?}, {:?}", client.stats());
    for ((lease, seen), ttl) in leases.iter().zip(&seen).zip(ttls) {
        assert!(!seen.states.contains(&LeaseState::Lost), "{what}");
        assert!(seen.unsure_for < UNSURE, "{what}");
        assert_eq!(lease.state(), LeaseState::Held, "{what}");
        lease.check().expect(&what);
        // It is renewed as ever.
        assert!(lease.expires_in() > ms(ttl / 2), "{what}");
    }
    assert!(losses.iter().all(|lost| !lost.load(SeqCst)), "{what}");
    let stats = client.stats();
    assert_eq!(stats.lost, 0, "{what}");
    assert!(stats.reconnects >= 1, "{what}");
    let made = proxy.accepted() - before;
    let at_most = usize::try_from(start.elapsed().as_secs()).unwrap() + 2;
    assert!(
        made >= 1 && made <= at_most,
        "{made} new connections: {what}"
    );
    for lease in leases {
        assert!(lease.release().await.unwrap(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_38_a_forgotten_connection_loses_no_lease_of_any_ttl() {
    on_each(|binary| async move {
        let server = Arc::new(Server::start(&binary, &[]));
        let each = [1_000, 2_000, 3_000, 8_000].into_iter();
        all(each.flat_map(|ttl| {
            let server = &server;
            KINDS.map(move |kind| {
                let server = server.clone();
                async move { forgotten(server, kind, &[ttl], ms(2 * ttl)).await }
            })
        }))
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_38_leases_that_are_renewed_together_are_not_lost_together() {
    on_each(|binary| async move {
        let server = Arc::new(Server::start(&binary, &[]));
        all(KINDS.map(|kind| {
            let server = server.clone();
            async move { forgotten(server, kind, &[20_000, 30_000], ms(25_000)).await }
        }))
        .await;
    })
    .await;
}

/// A network that forgets again and again costs a new connection each time.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_38_each_replacement_may_be_forgotten_too() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let client = Caller::behind(&proxy, Kind::Async, Warmth::Warm, COMMAND_TIMEOUT).await;
        let lease = client.acquire("res", ms(3_000), None).await.unwrap();
        let lost = lease.loss();
        for _ in 0..4 {
            proxy.forget();
            sleep(2_500).await;
            lease.check().unwrap();
        }
        assert!(!lost.load(SeqCst));
        assert!(lease.release().await.unwrap());
    })
    .await;
}

/// The time-out of a renewal passes, no new connection can be had, and the answer comes after all.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_38_a_late_answer_on_the_old_connection_counts() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let client = Caller::behind(&proxy, Kind::Async, Warmth::Shared, COMMAND_TIMEOUT).await;
        let start = Instant::now();
        let lease = client.acquire("res", ms(3_000), None).await.unwrap();
        let lost = lease.loss();
        proxy.refuse_new();

        // The first renewal is executed and its answer held back; nothing that is sent later arrives.
        proxy.to_client().hold.store(true, SeqCst);
        until("a renewal was answered", ms(2_000), async || {
            proxy.to_client().held.load(SeqCst) > 0
        })
        .await;
        proxy.to_server().hold.store(true, SeqCst);
        let sent = start.elapsed();
        // Its time-out is 500 ms.
        sleep(1_200).await;
        assert_eq!(lease.state(), LeaseState::Unsure);
        assert!(start.elapsed() < ms(2_900), "too slow a machine");
        proxy.to_client().hold.store(false, SeqCst);

        tokio::time::sleep_until((start + ms(3_000) + sent / 2).into()).await;
        lease.check().expect("renewed by the late answer");
        let left = lease.expires_in();
        assert!(
            left < sent,
            "counted from when it was sent, {sent:?}: {left:?}"
        );
        proxy.to_server().hold.store(false, SeqCst);
        sleep(1_000).await;
        lease
            .check()
            .expect("renewed on the only connection there is");
        assert!(!lost.load(SeqCst));
        // One attempt a second or fewer, and as many for what else wants a connection.
        let at_most = 2 * (usize::try_from(start.elapsed().as_secs()).unwrap() + 2);
        let tried = proxy.refused();
        assert!(tried <= at_most, "{tried}");
        proxy.heal();
        assert!(lease.release().await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_54_after_a_lost_connection_everything_held_is_renewed_at_once() {
    on_each(|binary| async move {
        for kind in KINDS {
            let server = Server::start(&binary, &[]);
            let proxy = Proxy::start(server.port).await;
            let client = Caller::behind(&proxy, kind, Warmth::Shared, COMMAND_TIMEOUT).await;
            let leases = [
                client.acquire("one", ms(30_000), None).await.unwrap(),
                client.acquire("two", ms(60_000), None).await.unwrap(),
            ];
            let before = client.stats().renewals;
            proxy.cut();
            until("both are renewed", ms(1_500), async || {
                client.stats().renewals >= before + 2
            })
            .await;
            for lease in leases {
                lease.check().unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_54_a_restart_without_data_is_seen_long_before_the_next_renewal() {
    on_each(|binary| async move {
        for kind in KINDS {
            let mut server = Server::start(&binary, &[]);
            let client = Caller::new(kind, &server.url(), COMMAND_TIMEOUT);
            assert!(client.inspect("res").await.unwrap().is_none());
            let lease = client.acquire("res", ms(30_000), None).await.unwrap();
            server.kill();
            server.start_again();
            until("the loss is seen", ms(2_000), async || {
                lease.state() == LeaseState::Lost
            })
            .await;
        }
    })
    .await;
}

/// A client of each kind, whose connections are forgotten after they were idle for so long.
async fn after_idling<F: Future<Output = ()> + Send + 'static>(
    idle: u64,
    test: impl Fn(Caller, Arc<Proxy>, String) -> F + Clone + Send + Sync + 'static,
) {
    on_each(move |binary| {
        let test = test.clone();
        async move {
            let server = Arc::new(Server::start(&binary, &[]));
            all(KINDS.map(|kind| {
                let (server, test) = (server.clone(), test.clone());
                async move {
                    let proxy = Arc::new(Proxy::start(server.port).await);
                    let client = Caller::behind(&proxy, kind, Warmth::Warm, COMMAND_TIMEOUT).await;
                    sleep(idle).await;
                    test(client, proxy, format!("{kind:?} after {idle} ms")).await;
                }
            }))
            .await;
        }
    })
    .await;
}

async fn acquires(client: Caller, proxy: Arc<Proxy>, what: String) {
    let name = what.clone();
    proxy.forget();
    let (lease, took) = timed(client.acquire(&name, ms(20_000), Some(ms(30_000)))).await;
    let lease = lease.unwrap_or_else(|error| panic!("{what}: {error} after {took:?}"));
    assert!(took < DROP_COSTS, "{what}: {took:?}");
    // And all goes on from here.
    let (released, took) = timed(lease.release()).await;
    assert!(released.unwrap(), "{what}");
    assert!(took < ms(500), "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_an_acquire_on_connections_forgotten_in_use() {
    after_idling(0, acquires).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_an_acquire_on_connections_forgotten_while_idle() {
    after_idling(3_000, acquires).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_a_release_on_forgotten_connections() {
    for idle in [0, 3_000] {
        after_idling(idle, |client, proxy, what| async move {
            let lease = client.acquire(&what, ms(20_000), None).await.unwrap();
            proxy.forget();
            let (released, took) = timed(lease.release()).await;
            let released = released.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(released, "{what}");
            assert!(took < DROP_COSTS, "{what}: {took:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_an_inspect_on_forgotten_connections() {
    for idle in [0, 3_000] {
        after_idling(idle, |client, proxy, what| async move {
            let lease = client.acquire(&what, ms(20_000), None).await.unwrap();
            proxy.forget();
            let (found, took) = timed(client.inspect(&what)).await;
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(found.is_some(), "{what}");
            assert!(took < DROP_COSTS, "{what}: {took:?}");
            lease.release().await.unwrap();
        })
        .await;
    }
}

/// All of a pool at once: the second idle connection is not trusted either, nor the third.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_a_pool_of_forgotten_connections_costs_one_time_out() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let client = Caller::behind(&proxy, Kind::Blocking, Warmth::Warm, COMMAND_TIMEOUT).await;
        let rounds: Vec<_> = (0..8).map(|n| (client.clone(), format!("r{n}"))).collect();
        for _ in 0..3 {
            all(rounds.clone().into_iter().map(|(client, name)| async move {
                let lease = client.acquire(&name, ms(20_000), None).await.unwrap();
                sleep(20).await;
                lease.release().await.unwrap();
            }))
            .await;
        }
        assert!(proxy.open() > 4, "a pool: {}", proxy.open());
        proxy.forget();
        for number in 0..6 {
            let name = format!("r{number}");
            let (lease, took) = timed(client.acquire(&name, ms(20_000), Some(ms(30_000)))).await;
            let lease = lease.unwrap_or_else(|error| panic!("{name}: {error} after {took:?}"));
            let limit = if number == 0 { DROP_COSTS } else { ms(500) };
            assert!(took < limit, "{name}: {took:?}");
            assert!(lease.release().await.unwrap());
        }
    })
    .await;
}

/// The grant goes to a connection that is no more: the waiter's own fallback must find it, by a new one.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_a_waiter_is_handed_the_lock_although_its_connections_were_forgotten() {
    on_each(|binary| async move {
        let server = Arc::new(Server::start(&binary, &[]));
        for kind in KINDS {
            let proxy = Proxy::start(server.port).await;
            let client = Caller::behind(&proxy, kind, Warmth::Warm, COMMAND_TIMEOUT).await;
            let holder = client_at(&server.url());
            let lease = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
            let waiting = {
                let client = client.clone();
                tokio::spawn(
                    async move { client.acquire("res", ms(20_000), Some(ms(30_000))).await },
                )
            };
            queued(&server, "res", 1).await;
            sleep(200).await;
            proxy.forget();
            assert!(lease.release().await.unwrap());
            let (next, took) = timed(waiting).await;
            let next = next.unwrap();
            let next = next.unwrap_or_else(|error| panic!("{kind:?}: {error} after {took:?}"));
            assert!(took < ms(3_000 + 3_000), "{kind:?}: {took:?}");
            assert!(next.release().await.unwrap());
        }
    })
    .await;
}
