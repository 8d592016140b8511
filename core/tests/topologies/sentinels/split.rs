//! `SENTINEL FAILOVER` while the old master lives on: for some ten seconds there are two that take commands.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use leaselock::{LeaseState, LossReason};

use super::workers::Workers;
use super::{keys, named, on_each, replicated, start};
use crate::callers::{Caller, KINDS};
use crate::common::topology::Sentinels;
use crate::common::{Server, ms, until};

/// Whoever has a sentinel in reach has left the old master so long after the first of them names the new one.
pub(super) const LEFT: Duration = ms(1_500);

/// The connections of clients of locks that a server has.
pub(super) fn clients_of_locks(server: &Server) -> Vec<String> {
    let list = server.text(&["CLIENT", "LIST"]).unwrap_or_default();
    let other = ["flags=S", "flags=M", "name=sentinel-", "cmd=client"];
    let lines = list
        .lines()
        .filter(|line| other.iter().all(|it| !line.contains(it)));
    lines.map(str::to_owned).collect()
}

/// How many commands a server was sent by which locks are taken, renewed and given back.
fn commands_of_locks(server: &Server) -> u64 {
    let stats = server.text(&["INFO", "commandstats"]).unwrap_or_default();
    let of_locks = ["cmdstat_multi:", "cmdstat_eval:", "cmdstat_evalsha:"];
    let calls = stats.lines().filter_map(|line| {
        let facts = of_locks.iter().find_map(|it| line.strip_prefix(it))?;
        facts
            .strip_prefix("calls=")?
            .split(',')
            .next()?
            .parse::<u64>()
            .ok()
    });
    calls.sum()
}

/// What the replicas do not have, as if the master had not passed it on yet.
fn unreplicated(sentinels: &Sentinels, name: &str) {
    let keys = keys(name);
    for replica in &sentinels.nodes[1..] {
        replica.run(&["CONFIG", "SET", "replica-read-only", "no"]);
        replica.run(&["DEL", &keys.lock, &keys.fence]);
        replica.run(&["CONFIG", "SET", "replica-read-only", "yes"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_37_an_old_master_that_lives_on_is_left_by_all_and_no_lease_is_kept_there() {
    on_each(|binary| async move {
        let sentinels = Arc::new(start(&binary).await);
        let mut holders = Vec::new();
        for kind in KINDS {
            let client = Caller::warm(kind, &sentinels.url()).await;
            let kept = client.acquire(&format!("kept-{kind:?}"), None).await.unwrap();
            let lost = client.acquire(&format!("lost-{kind:?}"), None).await.unwrap();
            holders.push((kind, client, kept, lost));
        }
        let workers = Workers::start(&sentinels.url()).await;
        for (kind, _, kept, lost) in &holders {
            replicated(&sentinels, &format!("kept-{kind:?}"), kept.owner()).await;
            replicated(&sentinels, &format!("lost-{kind:?}"), lost.owner()).await;
            unreplicated(&sentinels, &format!("lost-{kind:?}"));
        }
        let told: Vec<_> = holders.iter().map(|(.., lost)| lost.loss()).collect();

        let old = sentinels.sentinel_failover();
        let asked = Instant::now();
        let old_master = &sentinels.nodes[0];
        assert_eq!(old_master.port, old);
        let (switched, new) = named(&sentinels, old, asked).await;
        let switch = Instant::now();
        // It takes commands all the while.
        until("all have left", LEFT, async || {
            old_master.run(&["SET", "lives", "on"]);
            clients_of_locks(old_master).is_empty()
        })
        .await;
        let left = switch.elapsed();
        let sent = commands_of_locks(old_master);
        until("what the new master lacks is lost", LEFT.saturating_sub(left), async || {
            told.iter().all(|lost| lost.load(SeqCst))
        })
        .await;
        let noticed = switch.elapsed();
        let mut workers = workers;
        let worked = workers.all_since(switch).await;
        eprintln!(
            "{}: a new master after {switched:?}; after that, left {left:?}, lost {noticed:?}, all have worked {worked:?}",
            binary.name
        );
        assert!(worked < LEFT + ms(2_000), "{worked:?}");

        // Whoever was about to connect there goes at once.
        assert_eq!(commands_of_locks(old_master), sent, "nobody goes back");
        let new_master = &sentinels.nodes[new];
        for (kind, client, kept, lost) in holders {
            let name = format!("lost-{kind:?}");
            assert_eq!(lost.loss_reason(), Some(LossReason::Released));
            let after = client.try_acquire(&name).await.unwrap().expect("nobody has it");
            assert!(after.token() > lost.token(), "the token tells");
            assert_eq!(kept.state(), LeaseState::Held);
            let there = new_master.text(&["GET", &keys(&format!("kept-{kind:?}")).lock]);
            assert_eq!(there.as_deref(), Some(kept.owner()));
            assert!(kept.release().await.unwrap());
        }
        workers.end().await;
    })
    .await;
}

/// The old master was told of a release, and its successor was not: there the lock would be held by nobody until its TTL ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_to_the_old_master_is_given_back_to_its_successor() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let mut given_back = Vec::new();
        for kind in KINDS {
            let client = Caller::warm(kind, &sentinels.url()).await;
            let (name, listens) = (format!("{kind:?}"), format!("listens-{kind:?}"));
            let lease = client.acquire(&name, None).await.unwrap();
            let owner = lease.owner().to_owned();
            assert!(lease.release().await.unwrap());
            let lock = keys(&name).lock;
            for replica in &sentinels.nodes[1..] {
                replica.run(&["CONFIG", "SET", "replica-read-only", "no"]);
                replica.run(&["SET", &lock, &owner, "PX", "60000"]);
                replica.run(&["CONFIG", "SET", "replica-read-only", "yes"]);
            }
            let held = client.acquire(&listens, None).await.unwrap();
            given_back.push((client, name, held));
        }
        let old = sentinels.sentinel_failover();
        let (_, new) = named(&sentinels, old, Instant::now()).await;
        until("all have left", LEFT, async || {
            clients_of_locks(&sentinels.nodes[0]).is_empty()
        })
        .await;
        for (client, name, _held) in given_back {
            let lease = client.acquire(&name, Some(ms(5_000))).await.unwrap();
            let there = sentinels.nodes[new].text(&["GET", &keys(&name).lock]);
            assert_eq!(there.as_deref(), Some(lease.owner()));
            assert!(lease.release().await.unwrap());
        }
    })
    .await;
}
