//! A cluster whose slots move and whose primaries change, one thing at a time. The must-have cases are numbered as in the
//! project's list of them.

use std::collections::HashSet;
use std::time::Instant;

use leaselock::{Client, ErrorKind, LeaseState, ReleaseStatus};
use tokio::task::JoinSet;

use crate::common::topology::{Cluster, Options};
use crate::common::{Server, binaries, fresh, ms, until};

pub(super) fn client(cluster: &Cluster, app: &str) -> Client {
    let builder = Client::builder().url(cluster.url()).app_id(app);
    builder.build().expect("a client")
}

fn key(app: &str, name: &str) -> String {
    format!("lock||{app}||{name}")
}

/// A slot of its own for a test that has it moved: that of this lock.
fn slot(cluster: &Cluster, app: &str, name: &str) -> u16 {
    cluster.slot_of(&key(app, name))
}

fn other_primary(cluster: &Cluster, not: usize) -> usize {
    let (primaries, _) = cluster.roles();
    primaries.into_iter().find(|it| *it != not).expect("three")
}

/// What commands a server has refused for naming keys of several slots.
fn crossslot(cluster: &Cluster) -> bool {
    let refusals = |node: &Server| node.text(&["INFO", "errorstats"]);
    let mut all = cluster.nodes.iter().filter_map(refusals);
    all.any(|refusals| refusals.contains("errorstat_CROSSSLOT"))
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_32_every_operation_finds_its_node_and_none_names_keys_of_two() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let (mine, theirs) = (client(&cluster, &app), client(&cluster, &app));
        // Names whose braces are a tag, half of one and none; they end up on all nodes.
        let odd = ["{a}b", "a{b}", "{}", "}{", "{{x}}", "{", "a b", "ü"];
        let names: Vec<String> = (0..40)
            .map(|n| format!("n{n}"))
            .chain(odd.map(str::to_owned))
            .collect();
        let mut tokens = HashSet::new();
        for name in &names {
            let lease = mine.acquire(name).await.unwrap();
            assert!(theirs.try_acquire(name).await.unwrap().is_none(), "{name}");
            assert!(tokens.insert(lease.token()), "tokens differ");
            let found = theirs.inspect(name).await.unwrap().expect("held");
            assert_eq!(
                (found.name.as_str(), &*found.owner),
                (name.as_str(), lease.owner())
            );
            lease.extend(Some(ms(20_000))).await.unwrap();
            lease.detach();
        }
        let mut listed = Vec::new();
        let mut locks = theirs.locks("*").unwrap();
        while let Some(found) = locks.next().await {
            listed.push(found.unwrap().name);
        }
        listed.sort();
        let mut expected = names.clone();
        expected.sort();
        assert_eq!(listed, expected);
        for (at, name) in names.iter().enumerate() {
            let status = if at % 2 == 0 {
                theirs.force_release(name).await.unwrap()
            } else {
                let owner = theirs.inspect(name).await.unwrap().unwrap().owner;
                let wrong = theirs.release(name, "nobody").await.unwrap();
                assert_eq!(wrong, ReleaseStatus::NotOwner);
                theirs.release(name, &owner).await.unwrap()
            };
            assert_eq!(status, ReleaseStatus::Released);
            assert_eq!(
                theirs.force_release(name).await.unwrap(),
                ReleaseStatus::NotFound
            );
        }
        // By the pool of callers who block, too.
        let url = cluster.url();
        let app_id = app.clone();
        let blocking = move || {
            let builder = Client::builder().url(url).app_id(app_id);
            let client = builder.build_blocking().unwrap();
            for name in names.iter().cycle().take(3 * names.len()) {
                let lease = client.acquire(name).call().unwrap();
                assert!(lease.release().unwrap());
            }
            client.close().unwrap();
        };
        tokio::task::spawn_blocking(blocking).await.unwrap();
        assert!(!crossslot(&cluster));
        assert_eq!(mine.stats().reconnects + theirs.stats().reconnects, 0);
    }
}

/// Case 1: an unasked `sunsubscribe` must not shift the replies to the commands in flight.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_1_desync_every_reply_matches_its_command_through_failovers() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let (client, others) = (client(&cluster, &app), client(&cluster, &app));
        let mut owners = Vec::new();
        for n in 0..64 {
            let lease = client
                .acquire(format!("n{n}"))
                .ttl(ms(60_000))
                .await
                .unwrap();
            owners.push(lease.owner().to_owned());
            lease.detach();
        }
        // Waiters, so that every node has subscriptions to take back.
        let mut waiting = JoinSet::new();
        for n in 0..16 {
            let (others, name) = (others.clone(), format!("n{n}"));
            waiting.spawn(async move {
                others
                    .acquire(name)
                    .wait(ms(40_000))
                    .await
                    .map(|it| it.token())
            });
        }
        let asking = {
            let (client, others) = (client.clone(), others.clone());
            let end = Instant::now() + ms(6_000);
            tokio::spawn(async move {
                let mut asked = 0u64;
                while Instant::now() < end {
                    let mut batch = JoinSet::new();
                    for (n, owner) in owners.iter().cloned().enumerate() {
                        // The one with the subscriptions.
                        let client = if n % 4 == 0 {
                            client.clone()
                        } else {
                            others.clone()
                        };
                        batch.spawn(async move {
                            let found = client.inspect(&format!("n{n}")).await.unwrap();
                            assert_eq!(found.expect("held").owner, owner, "of n{n}");
                        });
                    }
                    asked += 64;
                    while let Some(done) = batch.join_next().await {
                        done.expect("the reply to its own command");
                    }
                }
                asked
            })
        };
        tokio::task::block_in_place(|| {
            std::thread::sleep(ms(500));
            cluster.cluster_failover_all();
        });
        let asked = asking.await.expect("every reply matched");
        assert!(asked > 2_000, "{asked}");
        for n in 0..64 {
            client.force_release(&format!("n{n}")).await.unwrap();
        }
        while let Some(done) = waiting.join_next().await {
            assert!(done.unwrap().is_ok());
        }
    }
}

/// Case 2: a server that takes a subscription back is told by that, and the next grant arrives at once.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_2_a_grant_arrives_within_a_second_of_an_unasked_sunsubscribe() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let (holder, waiter) = (client(&cluster, &app), client(&cluster, &app));
        for moved_by_hand in [false, true] {
            let lease = holder.acquire("name").ttl(ms(60_000)).await.unwrap();
            let waiting = {
                let waiter = waiter.clone();
                tokio::spawn(async move { waiter.acquire("name").wait(ms(30_000)).await })
            };
            until("it waits", ms(5_000), async || {
                waits(&holder, "name").await == 1
            })
            .await;
            let slot = slot(&cluster, &app, "name");
            tokio::task::block_in_place(|| {
                let owner = cluster.owner_of(slot);
                if moved_by_hand {
                    let moved = cluster.begin_move(slot, other_primary(&cluster, owner));
                    cluster.move_keys(&moved, None);
                    cluster.end_move(&moved);
                } else {
                    cluster.cluster_failover(cluster.replica_of(owner));
                }
            });
            tokio::time::sleep(ms(500)).await;
            let released = Instant::now();
            assert!(lease.release().await.unwrap());
            let next = waiting.await.unwrap().expect("granted");
            assert!(released.elapsed() < ms(1_000), "{:?}", released.elapsed());
            assert!(next.token() > lease.token());
            next.release().await.unwrap();
        }
    }
}

async fn waits(client: &Client, name: &str) -> u64 {
    let found = client.inspect(name).await.unwrap();
    found.map_or(0, |found| found.waiters)
}

/// Case 3: all connections killed with commands in flight; all are answered.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_3_all_are_answered_when_every_connection_is_killed() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let client = client(&cluster, &fresh());
        for _ in 0..10 {
            let mut flying = JoinSet::new();
            for n in 0..32 {
                let client = client.clone();
                flying.spawn(async move {
                    let lease = client.acquire(format!("n{n}")).wait(ms(10_000)).await?;
                    lease.release().await
                });
            }
            tokio::task::yield_now().await;
            for node in &cluster.nodes {
                node.run(&["CLIENT", "KILL", "TYPE", "normal"]);
                node.run(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            }
            let all = async {
                while let Some(done) = flying.join_next().await {
                    done.unwrap().expect("acquired and given back");
                }
            };
            tokio::time::timeout(ms(8_000), all)
                .await
                .expect("all are answered");
        }
    }
}

/// Case 4: a take whose reply was lost finds its own lock, and is never told that it is held.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_4_a_fresh_take_is_never_told_that_its_own_lock_is_held() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let client = client(&cluster, &fresh());
        let end = Instant::now() + ms(4_000);
        let mut takers = JoinSet::new();
        for taker in 0..8 {
            let client = client.clone();
            takers.spawn(async move {
                let mut taken = 0u32;
                while Instant::now() < end {
                    let name = format!("n{taker}-{taken}");
                    let lease = client
                        .try_acquire(&name)
                        .await
                        .expect("a server that is there");
                    assert!(lease.is_some(), "{name} was never anybody else's");
                    taken += 1;
                }
                taken
            });
        }
        while Instant::now() < end {
            for node in &cluster.nodes {
                node.run(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            tokio::time::sleep(ms(150)).await;
        }
        let mut taken = 0;
        while let Some(done) = takers.join_next().await {
            taken += done.unwrap();
        }
        assert!(taken > 200, "{taken}");
    }
}

/// Case 5: while a slot is half moved, acquires wait and leases live.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_5_a_slot_that_is_half_moved_for_two_seconds_costs_no_error_and_no_lease() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        // Two locks of one slot, which a common tag makes.
        let held = client.acquire("{tag}held").ttl(ms(1_500)).await.unwrap();
        let token = client.acquire("{tag}free").await.unwrap().token();
        until("it was given back", ms(3_000), async || {
            client.inspect("{tag}free").await.unwrap().is_none()
        })
        .await;
        let slot = slot(&cluster, &app, "{tag}held");
        let from = cluster.owner_of(slot);
        let moved = cluster.begin_move(slot, other_primary(&cluster, from));
        // The counter of the slot stays behind: all scripts of the slot are refused from now on.
        cluster.move_keys(&moved, Some(&key(&app, "{tag}held")));
        let asked = Instant::now();
        let acquiring = {
            let client = client.clone();
            tokio::spawn(async move { client.acquire("{tag}free").wait(ms(5_000)).await })
        };
        tokio::time::sleep(ms(2_000)).await;
        assert!(!acquiring.is_finished(), "half of the slot is elsewhere");
        cluster.move_keys(&moved, None);
        cluster.end_move(&moved);
        let lease = acquiring.await.unwrap().expect("no error within its wait");
        assert!(asked.elapsed() < ms(3_500), "{:?}", asked.elapsed());
        assert!(lease.token() > token);
        assert_eq!(held.state(), LeaseState::Held);
        assert!(client.stats().renewals >= 2, "{:?}", client.stats());
        assert!(held.release().await.unwrap());
        assert!(!crossslot(&cluster));
    }
}

/// Case 8: hand-overs are told to the waiter's node and its replica, not to the whole cluster.
#[tokio::test(flavor = "multi_thread")]
async fn must_have_8_a_thousand_hand_overs_send_no_message_to_all_nodes() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let mut workers = JoinSet::new();
        for worker in 0..10 {
            let client = client(&cluster, &app);
            workers.spawn(async move {
                for _ in 0..100 {
                    let name = format!("n{}", worker % 3);
                    let lease = client.acquire(name).wait(ms(30_000)).await.unwrap();
                    tokio::time::sleep(ms(1)).await;
                    assert!(lease.release().await.unwrap());
                }
                client.stats().contended
            });
        }
        let mut contended = 0;
        while let Some(done) = workers.join_next().await {
            contended += done.unwrap();
        }
        assert!(contended > 500, "{contended}");
        tokio::time::sleep(ms(500)).await;
        assert_eq!(cluster.bus_messages("publish"), 0);
        assert!(cluster.bus_messages("publishshard") > 0, "the shard's own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_34_leases_of_other_nodes_live_while_one_hangs_and_all_after_its_failover() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        let mut leases = Vec::new();
        for n in 0..100 {
            let lease = client
                .acquire(format!("n{n}"))
                .ttl(ms(9_000))
                .await
                .unwrap();
            leases.push(lease);
        }
        let stopped = cluster.owner_of(slot(&cluster, &app, "n0"));
        cluster.nodes[stopped].pause();
        tokio::time::sleep(ms(12_000)).await;
        let lost = leases.iter().filter(|lease| !lease.held()).count();
        assert_eq!(lost, 0, "renewed at the node that has taken over");
        cluster.nodes[stopped].resume();
        for lease in leases {
            assert!(lease.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_grows_when_its_slot_moves_and_when_its_node_is_replaced() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let app = fresh();
        let client = client(&cluster, &app);
        let mut last = 0;
        for round in 0..6 {
            let lease = client.acquire("name").wait(ms(10_000)).await.unwrap();
            assert!(lease.token() > last, "{} after {last}", lease.token());
            last = lease.token();
            assert!(lease.release().await.unwrap());
            let slot = slot(&cluster, &app, "name");
            tokio::task::block_in_place(|| {
                let owner = cluster.owner_of(slot);
                if round % 2 == 0 {
                    let moved = cluster.begin_move(slot, other_primary(&cluster, owner));
                    cluster.move_keys(&moved, None);
                    cluster.end_move(&moved);
                } else {
                    cluster.cluster_failover(cluster.replica_of(owner));
                }
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_url_takes_for_something_else_is_refused_in_words() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let single = Server::start(&binary, &[]);
        let node = format!("127.0.0.1:{}", cluster.nodes[0].port);
        for (url, kind, words) in [
            (
                format!("redis://{node}"),
                ErrorKind::StoreRefused,
                "redis+cluster://",
            ),
            (
                format!("redis+cluster://127.0.0.1:{}", single.port),
                ErrorKind::StoreRefused,
                "redis://",
            ),
            (
                format!("redis+cluster://{node}/3"),
                ErrorKind::InvalidArgument,
                "database",
            ),
        ] {
            let client = Client::new(&url).unwrap();
            let error = client.acquire("name").await.expect_err(&url);
            assert_eq!(error.kind(), kind, "{url}: {error}");
            assert!(error.to_string().contains(words), "{url}: {error}");
        }
        let deserted = Client::new("redis+cluster://127.0.0.1:1,127.0.0.1:2").unwrap();
        let error = deserted
            .try_acquire("name")
            .await
            .expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        for address in ["127.0.0.1:1", "127.0.0.1:2"] {
            assert!(error.to_string().contains(address), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_addresses_are_mapped() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let mut pairs = Vec::new();
        // What nodes tell clients; among each other they go on by their addresses.
        for (n, node) in cluster.nodes.iter().enumerate() {
            let announced = format!("node-{n}.invalid");
            node.run(&["CONFIG", "SET", "cluster-announce-hostname", &announced]);
            node.run(&[
                "CONFIG",
                "SET",
                "cluster-preferred-endpoint-type",
                "hostname",
            ]);
            pairs.push((
                format!("{announced}:{}", node.port),
                format!("127.0.0.1:{}", node.port),
            ));
        }
        let app = fresh();
        let unmapped = client(&cluster, &app);
        until("the address is announced", ms(15_000), async || {
            let slots = |node: &Server| format!("{:?}", node.run(&["CLUSTER", "SLOTS"]));
            let all = |node: &Server| slots(node).matches(".invalid").count() >= 6;
            cluster.nodes.iter().all(all)
        })
        .await;
        let error = unmapped
            .try_acquire("name")
            .await
            .expect_err("nobody is there");
        assert!(error.to_string().contains(".invalid:"), "{error}");
        assert!(error.to_string().contains("address_map"), "{error}");
        let builder = Client::builder().url(cluster.url()).app_id(&app);
        let mapped = builder.address_map(pairs).build().unwrap();
        for n in 0..12 {
            let lease = mapped.acquire(format!("n{n}")).await.unwrap();
            assert!(lease.release().await.unwrap());
        }
    }
}

/// A server before Redis 7 has no sharded channels.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_sharded_channels_hands_over_by_ordinary_ones() {
    let args = ["--rename-command", "SSUBSCRIBE", ""];
    let options = Options {
        args: &args,
        ..Options::default()
    };
    for binary in binaries() {
        let cluster = Cluster::start_with(&binary, &options);
        let app = fresh();
        let mut workers = JoinSet::new();
        for worker in 0..6 {
            let client = client(&cluster, &app);
            workers.spawn(async move {
                let mut longest = ms(0);
                for turn in 0..60 {
                    let asked = Instant::now();
                    let name = format!("n{}", (worker + turn) % 3);
                    let lease = client.acquire(name).wait(ms(30_000)).await.unwrap();
                    tokio::time::sleep(ms(1)).await;
                    assert!(lease.release().await.unwrap());
                    longest = longest.max(asked.elapsed());
                }
                (client.stats(), longest)
            });
        }
        let mut contended = 0;
        while let Some(done) = workers.join_next().await {
            let (stats, longest) = done.unwrap();
            assert_eq!((stats.lost, stats.reconnects), (0, 0));
            assert!(longest < ms(2_500), "no grant was missed: {longest:?}");
            contended += stats.contended;
        }
        assert!(contended > 100, "{contended}");
        assert!(cluster.bus_messages("publish") > 0);
        assert_eq!(cluster.bus_messages("publishshard"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_stands_before_all_keys_and_channels() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        for prefix in ["team:", "{team}:"] {
            let app = fresh();
            let clients = [(); 2].map(|()| {
                let builder = Client::builder().url(cluster.url()).app_id(&app);
                builder.key_prefix(prefix).build().unwrap()
            });
            for n in 0..8 {
                let name = format!("n{n}");
                let lease = clients[0].acquire(&name).await.unwrap();
                let waiting = {
                    let (client, name) = (clients[1].clone(), name.clone());
                    tokio::spawn(async move { client.acquire(name).wait(ms(10_000)).await })
                };
                until("it waits", ms(5_000), async || {
                    waits(&clients[0], &name).await == 1
                })
                .await;
                let released = Instant::now();
                assert!(lease.release().await.unwrap());
                let next = waiting.await.unwrap().unwrap();
                assert!(released.elapsed() < ms(1_500), "{:?}", released.elapsed());
                assert!(next.token() > lease.token());
                next.release().await.unwrap();
            }
        }
        let (primaries, _) = cluster.roles();
        for node in primaries {
            let Ok(redis::Value::Array(keys)) = cluster.nodes[node].try_run(&["KEYS", "*"]) else {
                panic!("keys");
            };
            for key in keys {
                let redis::Value::BulkString(key) = key else {
                    panic!("a key")
                };
                let key = String::from_utf8(key).unwrap();
                assert!(
                    key.starts_with("team:") || key.starts_with("{team"),
                    "{key}"
                );
            }
        }
        assert!(!crossslot(&cluster));
    }
}
