//! A cluster that changes all the time, with clients at work: nobody meets an error that waiting could have hidden, no two
//! hold a lock, and no token goes back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use leaselock::Client;
use tokio::task::JoinSet;

use crate::common::topology::Cluster;
use crate::common::{Binary, binaries, fresh, ms};

const CLIENTS: u64 = 20;
const NAMES: usize = 30;

/// What the locks are for, and what it sees.
#[derive(Default)]
struct Resource {
    holder: Option<String>,
    token: u64,
}

#[derive(Default)]
struct Seen {
    resources: Vec<Mutex<Resource>>,
    worst: Mutex<Duration>,
    faults: Mutex<Vec<String>>,
}

impl Seen {
    fn fault(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }
}

/// Takes turns until `end`; how many.
async fn work(client: Client, number: u64, seen: &Seen, end: Instant) -> u64 {
    let mut random = number * 7_919 + 1;
    let mut turns = 0;
    while Instant::now() < end {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(random >> 33).unwrap() % NAMES;
        let asked = Instant::now();
        let acquire = client
            .acquire(format!("n{at}"))
            .ttl(ms(15_000))
            .wait(ms(20_000));
        let lease = match acquire.await {
            Ok(lease) => lease,
            Err(error) => {
                seen.fault(format!("n{at} not acquired: {error}"));
                continue;
            }
        };
        {
            let mut worst = seen.worst.lock().unwrap();
            *worst = asked.elapsed().max(*worst);
        }
        {
            let mut resource = seen.resources[at].lock().unwrap();
            if let Some(other) = resource.holder.replace(lease.owner().to_owned()) {
                seen.fault(format!("n{at} is held by {other} and {}", lease.owner()));
            }
            if lease.token() <= resource.token {
                seen.fault(format!(
                    "n{at}: token {} after {}",
                    lease.token(),
                    resource.token
                ));
            }
            resource.token = lease.token();
        }
        tokio::time::sleep(ms(random % 3)).await;
        if !lease.held() {
            seen.fault(format!("n{at} was lost: {:?}", lease.loss_reason()));
        }
        seen.resources[at].lock().unwrap().holder = None;
        match lease.release().await {
            Ok(true) => turns += 1,
            Ok(false) => seen.fault(format!("n{at} was gone")),
            Err(error) => seen.fault(format!("n{at} not released: {error}")),
        }
    }
    turns
}

/// Has clients at work while `change` changes the cluster; what they met.
async fn while_working(binary: &Binary, change: impl FnMut(&mut Cluster)) -> Seen {
    while_working_confirmed(binary, 0, change).await
}

/// The same, where locks count when so many replicas have them.
async fn while_working_confirmed(
    binary: &Binary,
    replicas: u32,
    mut change: impl FnMut(&mut Cluster),
) -> Seen {
    let mut cluster = Cluster::start(binary);
    let app = fresh();
    let seen = Seen {
        resources: (0..NAMES).map(|_| Mutex::default()).collect(),
        ..Seen::default()
    };
    let seen = std::sync::Arc::new(seen);
    let lasts = if std::env::var_os("FULL").is_some() {
        ms(60_000)
    } else {
        ms(9_000)
    };
    let end = Instant::now() + lasts;
    let mut workers = JoinSet::new();
    for number in 0..CLIENTS {
        // A failover may take longer than a first command may by default: seconds, on a busy machine.
        let builder = Client::builder().command_timeout(ms(15_000));
        let builder = builder.url(cluster.url()).app_id(&app);
        let client = builder.replicas(replicas).build().expect("a client");
        let seen = seen.clone();
        workers.spawn(async move { work(client, number, &seen, end).await });
    }
    tokio::task::block_in_place(|| {
        std::thread::sleep(ms(1_000));
        change(&mut cluster);
    });
    let mut turns = 0;
    while let Some(done) = workers.join_next().await {
        turns += done.unwrap();
    }
    assert!(turns > 500, "{turns}");
    let (primaries, _) = cluster.roles();
    for node in primaries {
        let refusals = cluster.nodes[node].text(&["INFO", "errorstats"]);
        assert!(!refusals.unwrap_or_default().contains("CROSSSLOT"));
    }
    let seen = std::sync::Arc::into_inner(seen).expect("all have ended");
    let faults = seen.faults.lock().unwrap().clone();
    assert!(faults.is_empty(), "{}: {faults:#?}", binary.name);
    eprintln!(
        "{}: {turns} turns, the longest acquire took {:?}",
        binary.name,
        seen.worst.lock().unwrap()
    );
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shard_fails_over() {
    for binary in binaries() {
        while_working(&binary, |cluster| {
            cluster.cluster_failover_all();
            cluster.settle();
            cluster.cluster_failover_all();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_in_use_are_resharded() {
    for binary in binaries() {
        while_working(&binary, |cluster| {
            for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                cluster.reshard(from, to, 1_000);
                std::thread::sleep(ms(500));
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_is_killed_and_another_is_stopped() {
    for binary in binaries() {
        for kill in [true, false] {
            while_working(&binary, |cluster| {
                let node = cluster.owner_of(0);
                if kill {
                    cluster.nodes[node].kill();
                } else {
                    cluster.nodes[node].pause();
                    std::thread::sleep(ms(7_000));
                    cluster.nodes[node].resume();
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_migrate_at_once() {
    for binary in binaries().into_iter().filter(|it| it.name == "valkey") {
        while_working(&binary, |cluster| {
            for to in [1, 2, 0] {
                if cluster.owner_of(100) != to {
                    cluster.migrate_slots(0..=3_000, to);
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shard_fails_over_whose_replicas_confirm() {
    for binary in binaries() {
        while_working_confirmed(&binary, 1, |cluster| {
            cluster.cluster_failover_all();
            cluster.settle();
        })
        .await;
    }
}
