//! Connections to the nodes: no more than are of use, and none that outlives its client.

use leaselock::Client;

use crate::common::topology::Cluster;
use crate::common::{Server, binaries, fresh, ms, until};

/// Connections of clients, the one that asks left out.
fn connections(server: &Server) -> usize {
    let list = server.text(&["CLIENT", "LIST", "TYPE", "normal"]);
    let subscribed = server.text(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    let lines = |list: Option<String>| list.map_or(0, |list| list.lines().count());
    lines(list) + lines(subscribed) - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_client_leaves_no_connection_to_any_node() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        for _ in 0..5 {
            let client = Client::builder()
                .url(cluster.url())
                .app_id(fresh())
                .build()
                .expect("a client");
            for name in ["a", "b", "c", "d"] {
                let lease = client.acquire(name).await.unwrap();
                assert!(lease.release().await.unwrap());
            }
            client.close().await.unwrap();
        }
        until("all connections are closed", ms(3_000), async || {
            cluster.nodes.iter().map(connections).sum::<usize>() == 0
        })
        .await;
    }
}
