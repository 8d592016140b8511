//! The protocol's edges: claims that come late, forced releases, waiters that are gone or asleep, queues that are lost.

mod again;
mod claims;
mod dead;
mod dropped;
mod forced;
mod lost;
mod passed;
mod room;
mod unpolled;

use std::time::Duration;

use redis::Value;

use crate::common::Server;
use crate::keys;

/// Queues waiters whose processes have gone, `number` of them, before everybody else.
fn queue_gone(server: &Server, name: &str, number: usize) {
    let queue = keys(name).queue;
    let mut connection = server.connect();
    let mut pipeline = redis::pipe();
    for at in 0..number {
        let member = format!("1|{at:032x}|{at:032x}");
        pipeline.cmd("ZADD").arg(&queue).arg(at).arg(member);
    }
    let _: Value = pipeline.query(&mut connection).expect("queued");
}

/// Waits for `task`, at most for `limit`.
async fn within<T>(limit: Duration, what: &str, task: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, task)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {limit:?}"))
}
