//! A cluster's client where nothing is asked of it, after it was closed, and of slots that are on their way.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use leaselock::{Client, ErrorKind};
use tokio::task::JoinSet;

use super::callers::{Caller, KINDS};
use super::cluster::client;
use crate::APP;
use crate::common::proxy::Proxy;
use crate::common::topology::Cluster;
use crate::common::{Server, binaries, fresh, ms, until};

/// Connections of clients, the one that asks left out.
fn connections(cluster: &Cluster) -> usize {
    cluster.nodes.iter().map(of_clients).sum()
}

fn of_clients(server: &Server) -> usize {
    let list = |kind| server.text(&["CLIENT", "LIST", "TYPE", kind]);
    let lines = |list: Option<String>| list.map_or(0, |list| list.lines().count());
    lines(list("normal")) + lines(list("pubsub")) - 1
}

/// How often the nodes were asked who has which slot.
fn questions(cluster: &Cluster) -> u64 {
    let asked = |node: &Server| {
        let facts = node.text(&["INFO", "commandstats"]).unwrap_or_default();
        let calls = facts.lines().find_map(|line| {
            let (_, calls) = line
                .strip_prefix("cmdstat_cluster|slots:")?
                .split_once("calls=")?;
            calls.split(',').next()?.parse::<u64>().ok()
        });
        calls.unwrap_or(0)
    };
    cluster.nodes.iter().map(asked).sum()
}

/// Uses every primary.
async fn use_all(client: &Client) {
    for n in 0..12 {
        let lease = client.acquire(format!("n{n}")).await.unwrap();
        assert!(lease.release().await.unwrap());
    }
}

/// Servers close what is idle (`timeout`), and clients that are idle are many.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_client_whose_connection_was_closed_does_not_go_on_asking() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let client = client(&cluster, &fresh());
        use_all(&client).await;
        for node in &cluster.nodes[..3] {
            node.run(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        tokio::time::sleep(ms(2_000)).await;
        let before = questions(&cluster);
        tokio::time::sleep(ms(4_000)).await;
        let asked = questions(&cluster) - before;
        assert!(asked <= 1, "{}: asked {asked} times", binary.name);
        use_all(&client).await;
    }
}

/// A primary that hung while its replica took over answers when nobody asks it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_left_while_it_hung_is_not_kept() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        use_all(&client).await;
        let slot = cluster.slot_of(&format!("lock||{app}||name"));
        let old = cluster.owner_of(slot);
        let lease = client.acquire("name").ttl(ms(60_000)).await.unwrap();
        cluster.nodes[old].pause();
        let waiting = {
            let client = client.clone();
            tokio::spawn(async move { client.inspect("name").await })
        };
        tokio::time::sleep(ms(200)).await;
        let replica = 3 + old;
        cluster.nodes[replica].run(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        assert!(waiting.await.unwrap().expect("an answer").is_some());
        cluster.nodes[old].resume();
        let kept = &cluster.nodes[old];
        until("it is left", ms(8_000), async || of_clients(kept) == 0).await;
        assert!(lease.release().await.unwrap());
    }
}
/// What is under way when a client is closed is not asked again by new connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_closed_connects_no_more() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        use_all(&client).await;
        let owner = cluster.at(&format!("lock||{app}||name"));
        owner.pause();
        let asking = {
            let client = client.clone();
            tokio::spawn(async move { client.inspect("name").await })
        };
        tokio::time::sleep(ms(200)).await;
        client.close().await.unwrap();
        let error = asking.await.unwrap().expect_err("the client is closed");
        assert_eq!(error.kind(), ErrorKind::ClientClosed, "{error}");
        owner.resume();
        until("all connections are closed", ms(3_000), async || {
            connections(&cluster) == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_goes_elsewhere_is_no_reconnect() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let (holder, waiter) = (client(&cluster, &app), client(&cluster, &app));
        use_all(&waiter).await;
        let lease = holder.acquire("name").ttl(ms(60_000)).await.unwrap();
        let waiting = {
            let waiter = waiter.clone();
            tokio::spawn(async move { waiter.acquire("name").wait(ms(30_000)).await })
        };
        until("it waits", ms(5_000), async || {
            holder
                .inspect("name")
                .await
                .unwrap()
                .is_some_and(|found| found.waiters == 1)
        })
        .await;
        let slot = cluster.slot_of(&format!("lock||{app}||name"));
        let from = cluster.owner_of(slot);
        let moved = cluster.begin_move(slot, (from + 1) % 3);
        cluster.move_keys(&moved, None);
        cluster.end_move(&moved);
        tokio::time::sleep(ms(500)).await;
        assert!(lease.release().await.unwrap());
        waiting
            .await
            .unwrap()
            .expect("granted")
            .release()
            .await
            .unwrap();
        assert_eq!(waiter.stats().reconnects, 0);
    }
}

/// A slot may stay half moved for long; what is there can be looked at.
#[tokio::test(flavor = "multi_thread")]
async fn locks_of_a_slot_that_is_half_moved_are_seen() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        let lease = client.acquire("name").ttl(ms(60_000)).await.unwrap();
        let key = format!("lock||{app}||name");
        let slot = cluster.slot_of(&key);
        let from = cluster.owner_of(slot);
        let to = (from + 1) % 3;
        let moved = cluster.begin_move(slot, to);
        for there in [false, true] {
            if there {
                cluster.move_keys(&moved, Some(&key));
            }
            let found = client.inspect("name").await.expect("an answer");
            assert_eq!(found.expect("held").owner, lease.owner(), "{there}");
            let mut locks = client.locks("*").unwrap();
            let found = locks.next().await.expect("one").expect("an answer");
            assert_eq!(found.name, "name");
            assert!(locks.next().await.is_none());
            assert!(client.inspect("other").await.unwrap().is_none());
        }
        cluster.move_keys(&moved, None);
        cluster.end_move(&moved);
        assert!(lease.release().await.unwrap());
    }
}

/// The script that hands over empties the queue, which then cannot be told from one that is at the other node already.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_hands_over_in_a_slot_that_is_on_its_way_succeeds() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        for kind in KINDS {
            let (holder, waiter) = (
                Caller::warm(kind, &cluster.url()).await,
                client(&cluster, APP),
            );
            let name = fresh();
            let held = holder.acquire(&name, None).await.unwrap();
            let waiting = {
                let (waiter, name) = (waiter.clone(), name.clone());
                tokio::spawn(async move { waiter.acquire(name).wait(ms(30_000)).await })
            };
            until("it waits", ms(5_000), async || {
                let found = waiter.inspect(&name).await.unwrap();
                found.is_some_and(|found| found.waiters == 1)
            })
            .await;
            let slot = cluster.slot_of(&format!("lock||{APP}||{name}"));
            let from = cluster.owner_of(slot);
            let moved = cluster.begin_move(slot, (from + 1) % 3);
            let releasing = tokio::spawn(held.release());
            tokio::time::sleep(ms(300)).await;
            cluster.move_keys(&moved, None);
            cluster.end_move(&moved);
            let released = releasing.await.unwrap();
            assert!(released.expect("an answer"), "{}, {kind:?}", binary.name);
            let lease = waiting.await.unwrap().expect("granted");
            assert!(lease.release().await.unwrap());
        }
    }
}

/// A network that is as slow as one server may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_answers_slowly_is_used() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let (mut proxies, mut pairs) = (Vec::new(), Vec::new());
        for node in &cluster.nodes {
            let proxy = Proxy::start(node.port).await;
            proxy.to_client().delay_ms.store(600, SeqCst);
            let reached = proxy.url().replace("redis://", "");
            pairs.push((format!("127.0.0.1:{}", node.port), reached));
            proxies.push(proxy);
        }
        let url = format!("redis+cluster://{}", pairs[0].1);
        let client = Client::builder()
            .url(url)
            .address_map(pairs)
            .app_id(fresh())
            .build()
            .unwrap();
        for _ in 0..2 {
            let lease = client.acquire("name").wait(ms(20_000)).await.unwrap();
            assert!(lease.release().await.unwrap());
        }
        assert_eq!(client.stats().reconnects, 0);
    }
}

/// Whoever is next behind a holder of another program has the lock watched, but not where its slot is not yet.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_behind_a_foreign_holder_in_a_slot_on_its_way_asks_in_moderation() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        // The counter of the slot.
        assert!(
            client
                .acquire("name")
                .await
                .unwrap()
                .release()
                .await
                .unwrap()
        );
        let key = format!("lock||{app}||name");
        cluster
            .at(&key)
            .run(&["SET", &key, "somebody", "PX", "60000"]);
        let waiting = {
            let client = client.clone();
            tokio::spawn(async move { client.acquire("name").wait(ms(30_000)).await })
        };
        until("it waits", ms(5_000), async || {
            let found = client.inspect("name").await.unwrap();
            found.is_some_and(|found| found.waiters == 1)
        })
        .await;
        let slot = cluster.slot_of(&key);
        let from = cluster.owner_of(slot);
        let to = (from + 1) % 3;
        let moved = cluster.begin_move(slot, to);
        cluster.move_keys(&moved, None);
        // It looks again after no more than three seconds.
        tokio::time::sleep(ms(4_000)).await;
        let commands = || {
            let facts = cluster.nodes[to].text(&["INFO", "commandstats"]).unwrap();
            let asked = facts.lines().find_map(|line| {
                let (_, calls) = line.strip_prefix("cmdstat_asking:")?.split_once("calls=")?;
                calls.split(',').next()?.parse::<u64>().ok()
            });
            asked.unwrap_or(0)
        };
        let before = commands();
        tokio::time::sleep(ms(2_000)).await;
        let asked = commands() - before;
        assert!((5..40).contains(&asked), "asked {asked} times");
        cluster.end_move(&moved);
        let holder = &cluster.nodes[to];
        holder.run(&["DEL", &key]);
        let lease = waiting.await.unwrap().expect("free");
        assert!(lease.release().await.unwrap());
    }
}

/// Whatever is held from the beginning of a listing to its end is in it, wherever it goes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_moves_while_locks_are_listed_is_in_the_list() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        for n in 0..30 {
            client
                .acquire(format!("n{n}"))
                .ttl(ms(60_000))
                .await
                .unwrap()
                .detach();
        }
        let slot_of = |name: &str| cluster.slot_of(&format!("lock||{app}||{name}"));
        let mut locks = client.locks("*").unwrap();
        let mut listed = vec![locks.next().await.unwrap().unwrap().name];
        // The first page is that of one node.
        let first = cluster.owner_of(slot_of(&listed[0]));
        let later = (0..30).map(|n| format!("n{n}"));
        let later = later
            .map(|name| slot_of(&name))
            .find(|slot| cluster.owner_of(*slot) != first);
        let moved = cluster.begin_move(later.expect("on another node"), first);
        cluster.move_keys(&moved, None);
        cluster.end_move(&moved);
        // Left to itself the third primary hears of it later, and tells whoever asks it what was so before.
        let (slot, id) = (moved.slot.to_string(), &cluster.ids[moved.to]);
        for node in cluster.roles().0 {
            cluster.nodes[node].run(&["CLUSTER", "SETSLOT", &slot, "NODE", id]);
        }
        while let Some(found) = locks.next().await {
            listed.push(found.unwrap().name);
        }
        assert_eq!(listed.len(), 30, "{listed:?}");
    }
}

/// All nodes are started anew, without their data, and know each other still.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_has_the_lock_when_all_nodes_were_restarted_empty() {
    for binary in binaries() {
        let mut cluster = Cluster::start(&binary);
        let app = fresh();
        let (holder, waiter) = (client(&cluster, &app), client(&cluster, &app));
        let lease = holder.acquire("name").ttl(ms(60_000)).await.unwrap();
        let waiting = {
            let waiter = waiter.clone();
            tokio::spawn(async move { waiter.acquire("name").wait(ms(40_000)).await })
        };
        until("it waits", ms(5_000), async || {
            let found = holder.inspect("name").await.unwrap();
            found.is_some_and(|found| found.waiters == 1)
        })
        .await;
        for node in &mut cluster.nodes {
            node.kill();
        }
        for node in &mut cluster.nodes {
            node.start_again();
        }
        let next = waiting.await.unwrap().expect("nobody has it any more");
        assert!(next.token() > lease.token());
        until("the loss is noticed", ms(5_000), async || !lease.held()).await;
        assert!(next.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_is_seed_enough_and_seeds_that_are_down_are_no_hindrance() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let down = ["localhost:1", "localhost:2", "localhost:3", "localhost:4"].join(",");
        let url = format!("redis+cluster://{down},localhost:{}", cluster.nodes[4].port);
        let client = Client::builder().url(url).app_id(fresh()).build().unwrap();
        use_all(&client).await;
        assert_eq!(client.stats().reconnects, 0);
    }
}

/// Whoever waits is told of each slot that goes elsewhere, and there may be many of either.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_many_waiters_serves_on_when_every_slot_goes_elsewhere() {
    const MANY: u64 = 2_000;
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let (holder, waiter) = (client(&cluster, &app), client(&cluster, &app));
        let (mut taking, mut waiting) = (JoinSet::new(), JoinSet::new());
        for n in 0..MANY {
            let acquire = holder.acquire(format!("n{n}")).ttl(ms(120_000));
            taking.spawn(async move { acquire.wait(ms(30_000)).await.expect("free") });
        }
        let leases = taking.join_all().await;
        for n in 0..MANY {
            let acquire = waiter.acquire(format!("n{n}")).ttl(ms(120_000));
            waiting.spawn(async move { acquire.wait(ms(90_000)).await.map(|it| it.detach()) });
        }
        until("all wait", ms(30_000), async || {
            waiter.stats().waiting == MANY
        })
        .await;
        tokio::time::sleep(ms(2_000)).await;
        tokio::task::block_in_place(|| cluster.cluster_failover_all());
        let asked = Instant::now();
        assert!(waiter.inspect("n0").await.unwrap().is_some());
        assert!(asked.elapsed() < ms(3_000), "{:?}", asked.elapsed());
        for lease in leases {
            assert!(lease.release().await.unwrap());
        }
        while let Some(done) = waiting.join_next().await {
            done.unwrap().expect("given back");
        }
    }
}
