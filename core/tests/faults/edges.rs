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
        let member = format!("1|{at:032x}|1|{at:032x}");
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

/// What tells the first waiter of a queue that the name is its own, which it is not.
fn forged_grant(server: &Server, name: &str) -> redis::Cmd {
    let keys = keys(name);
    let members = server.run(&["ZRANGE", &keys.queue, "0", "0"]);
    let members: Vec<String> = redis::from_redis_value(members).expect("a list");
    let mut parts = members[0].splitn(4, '|').skip(1);
    let (id, _, owner) = (
        parts.next().expect("an id"),
        parts.next().expect("a limit"),
        parts.next().expect("an owner"),
    );
    let message = format!("1\ngrant\n{}\n{owner}", keys.lock);
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(format!("lock||inbox||{id}")).arg(message);
    publish
}
