//! Masters that die, one after the other, while clients work.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::workers::Workers;
use super::{named, on_each, start};
use crate::common::topology::{SERVICE, Sentinels};
use crate::common::{Server, ms, until};

/// How long after the failover each client has worked again.
const GOES_ON: Duration = ms(2_000);

/// How often a master dies: ten times with `FULL=1`.
fn deaths() -> usize {
    if std::env::var_os("FULL").is_some() {
        10
    } else {
        3
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_works_goes_on_by_itself_when_the_master_is_killed() {
    on_each(|binary| async move {
        let mut sentinels = start(&binary).await;
        let mut workers = Workers::start(&sentinels.url()).await;
        for death in 0..deaths() {
            let master = sentinels.master();
            let old = sentinels.nodes[master].port;
            sentinels.nodes[master].kill();
            let killed = Instant::now();
            let (took, _) = named(&sentinels, old, killed).await;
            let worked = workers.all_since(Instant::now()).await;
            eprintln!(
                "{} {death}: failover {took:?}, all have worked {worked:?} later",
                binary.name
            );
            assert!(worked < GOES_ON, "{worked:?}");

            sentinels.nodes[master].start_again();
            whole(&sentinels).await;
        }
        let turns = workers.end().await;
        eprintln!("{}: {turns} turns", binary.name);
    })
    .await;
}

/// Waits until the sentinels agree on a master, and all other nodes follow it: one that comes back is told to, or the sentinels
/// would have none to choose next.
async fn whole(sentinels: &Sentinels) {
    until("all follow one master", ms(45_000), async || {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let told = sentinels
            .sentinels
            .iter()
            .map(|it| format!("{:?}", it.run(&words)));
        let told: HashSet<String> = told.collect();
        let port = sentinels.master_port().to_string();
        let (master, others): (Vec<_>, Vec<_>) = sentinels
            .nodes
            .iter()
            .partition(|node| node.port.to_string() == port);
        let facts = |node: &Server| node.text(&["INFO", "replication"]).unwrap_or_default();
        let follow = others.into_iter().all(|node| {
            let facts = facts(node);
            if facts.contains("role:master") {
                node.run(&["REPLICAOF", "127.0.0.1", &port]);
            }
            facts.contains(&format!("master_port:{port}"))
                && facts.contains("master_link_status:up")
        });
        told.len() == 1 && follow && facts(master[0]).contains("role:master")
    })
    .await;
}
