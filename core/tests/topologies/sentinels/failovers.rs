//! Masters that die, one after the other, while clients work.

use std::time::{Duration, Instant};

use super::workers::Workers;
use super::{ask, named, on_each, start};
use crate::common::ms;
use crate::common::topology::{SERVICE, Sentinels};

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
            whole(&sentinels, master).await;
        }
        let turns = workers.end().await;
        eprintln!("{}: {turns} turns", binary.name);
    })
    .await;
}

/// As a machine that has vanished: connections stay open, and can be made, and nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_works_goes_on_by_itself_when_the_master_hangs() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let mut workers = Workers::start(&sentinels.url()).await;
        let old = sentinels.nodes[0].port;
        sentinels.nodes[0].pause();
        let (took, _) = named(&sentinels, old, Instant::now()).await;
        let worked = workers.all_since(Instant::now()).await;
        eprintln!(
            "{}: failover {took:?}, all have worked {worked:?} later",
            binary.name
        );
        assert!(worked < GOES_ON, "{worked:?}");
        sentinels.nodes[0].resume();
        workers.all_since(Instant::now()).await;
        workers.end().await;
    })
    .await;
}

/// Waits until the sentinels agree on a master, and all other nodes follow it. The one that `came_back` is told to, or the
/// sentinels would have none to choose next for some ten seconds.
async fn whole(sentinels: &Sentinels, came_back: usize) {
    let start = Instant::now();
    let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
    loop {
        let told = sentinels.sentinels.iter();
        let told: Vec<(String, u16)> = told.filter_map(|it| ask(it, &words).ok()).collect();
        let facts = sentinels.nodes.iter();
        let facts: Vec<String> = facts
            .map(|it| ask(it, &["INFO", "replication"]).unwrap_or_default())
            .collect();
        let port = told[0].1;
        let follows = format!("master_port:{port}");
        let is_whole = sentinels.nodes.iter().zip(&facts).all(|(node, facts)| {
            if node.port == port {
                facts.contains("role:master")
            } else {
                facts.contains(&follows) && facts.contains("master_link_status:up")
            }
        });
        let agree = told.iter().all(|it| it.1 == port);
        let may_choose = sentinels.sentinels.iter().all(|sentinel| {
            let replicas = sentinel.run(&["SENTINEL", "REPLICAS", SERVICE]);
            let replicas = format!("{replicas:?}");
            !replicas.contains("s_down") && !replicas.contains("disconnected")
        });
        if agree && is_whole && may_choose {
            return;
        }
        let back = &sentinels.nodes[came_back];
        if agree && back.port != port && facts[came_back].contains("role:master") {
            let _ = ask::<String>(back, &["REPLICAOF", "127.0.0.1", &port.to_string()]);
        }
        assert!(start.elapsed() < ms(60_000), "{told:?}\n{facts:#?}");
        tokio::time::sleep(ms(20)).await;
    }
}
