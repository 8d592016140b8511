//! A master that is one no more and keeps its connections, while the address leads to the one that was promoted.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use leaselock::{ErrorKind, LeaseState};

use super::{Caller, Held, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::server::Binary;
use crate::common::{Server, ms, until};
use crate::{keys, sleep};

/// Everything works again by then.
const BACK: Duration = ms(8_000);
const TTL: Duration = ms(10_000);

/// What the old master is, once it is none.
#[derive(Clone, Copy, Debug)]
enum Demoted {
    /// A replica of the new one, which answers READONLY.
    Replica,
    /// A replica that has lost its master and answers MASTERDOWN.
    Orphan,
}

async fn promoted(binary: Binary, kind: Kind, demoted: Demoted) {
    let options = ["--repl-diskless-sync-delay", "0"];
    let old = Server::start(&binary, &options);
    let master = format!("127.0.0.1 {}", old.port);
    let new = Server::start(&binary, &[&options[..], &["--replicaof", &master]].concat());
    let proxy = Proxy::start(old.port).await;
    let client = Caller::behind(&proxy, kind, Warmth::Warm, ms(5_000)).await;
    let lease = client.acquire("kept", TTL, None).await.unwrap();
    let lost = lease.loss();
    until("both have it", ms(10_000), async || {
        new.exists(&keys("kept").lock)
    })
    .await;
    let reader = client.acquire("released", ms(30_000), None).await.unwrap();
    until("both have it", ms(5_000), async || {
        new.exists(&keys("released").lock)
    })
    .await;

    new.run(&["REPLICAOF", "NO", "ONE"]);
    proxy.redirect(new.port);
    let now = new.port.to_string();
    match demoted {
        Demoted::Replica => old.run(&["REPLICAOF", "127.0.0.1", &now]),
        Demoted::Orphan => {
            old.run(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
            old.run(&["REPLICAOF", "127.0.0.1", "1"])
        }
    };
    let start = Instant::now();

    back(&client, start, &format!("{kind:?}, {demoted:?}")).await;
    assert!(reader.release().await.unwrap(), "{kind:?}, {demoted:?}");
    assert!(!new.exists(&keys("released").lock));
    // Past the deadline that the lease had.
    tokio::time::sleep_until((start + TTL + ms(1_500)).into()).await;
    let what = format!("{kind:?}, {demoted:?}: {:?}", client.stats());
    assert_eq!(lease.state(), LeaseState::Held, "{what}");
    lease.check().expect(&what);
    assert!(!lost.load(SeqCst), "{what}");
    assert!(lease.release().await.unwrap(), "{what}");
    assert!(!new.exists(&keys("kept").lock), "{what}");
}

/// Tries until it gets a name: until then nobody is there, and nothing worse.
async fn back(client: &Caller, start: Instant, what: &str) {
    let lease: Held = loop {
        match client.try_acquire("again").await {
            Ok(lease) => break lease.expect("free"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{what}: {error}");
                assert!(start.elapsed() < BACK, "{what}: still {error}");
                sleep(20).await;
            }
        }
    };
    assert!(start.elapsed() < BACK, "{what}: {:?}", start.elapsed());
    assert!(lease.release().await.unwrap(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_40_a_demoted_master_is_left_and_the_lease_is_kept() {
    on_each(|binary| async move {
        all(KINDS.map(|kind| promoted(binary.clone(), kind, Demoted::Replica))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_40_a_replica_without_its_master_is_left_and_the_lease_is_kept() {
    on_each(|binary| async move {
        all(KINDS.map(|kind| promoted(binary.clone(), kind, Demoted::Orphan))).await;
    })
    .await;
}
