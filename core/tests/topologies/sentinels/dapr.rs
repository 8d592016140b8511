//! Dapr on the same sentinels: a plain client that plays its lock component on the master shares the locks both ways.

use redis::Connection;

use super::{keys, on_each, start};
use crate::callers::{Caller, KINDS};
use crate::common::DAPR_UNLOCK;
use crate::common::server::{Server, command};

fn try_lock(dapr: &mut Connection, lock: &str) -> bool {
    command(&["SET", lock, "dapr", "EX", "30", "NX"])
        .query::<Option<String>>(dapr)
        .expect("an answer")
        .is_some()
}

fn unlock(dapr: &mut Connection, lock: &str) -> i64 {
    command(&["EVAL", DAPR_UNLOCK, "1", lock, "dapr"])
        .query(dapr)
        .expect("an answer")
}

/// As Dapr finds the master: by a sentinel.
fn at_master(nodes: &[Server], port: u16) -> Connection {
    let master = nodes.iter().find(|node| node.port == port);
    master.expect("one of the nodes").connect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dapr_and_leases_keep_each_other_out_before_a_failover_and_after() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let clients = KINDS.map(|kind| Caller::new(kind, &sentinels.url()));
        let lock = keys("res").lock;
        for round in 0..2 {
            let mut dapr = at_master(&sentinels.nodes, sentinels.master_port());
            for client in &clients {
                let lease = client.acquire("res", None).await.unwrap();
                assert!(!try_lock(&mut dapr, &lock), "a lease keeps Dapr out");
                assert_eq!(unlock(&mut dapr, &lock), -2);
                assert!(lease.release().await.unwrap());
                assert!(try_lock(&mut dapr, &lock));
                assert!(client.try_acquire("res").await.unwrap().is_none());
                assert_eq!(unlock(&mut dapr, &lock), 1);
            }
            if round == 0 {
                let old = sentinels.sentinel_failover();
                let sentinels = &sentinels;
                tokio::task::block_in_place(|| sentinels.new_master(old));
            }
        }
    })
    .await;
}
