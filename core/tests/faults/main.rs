//! Faults of real servers, networks and callers, and what users of other lock libraries reported.
//!
//! A test for a reported bug is named `field_bug_NN_…` after its place in that list.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod braces;
mod broken_servers;
mod cancelling;
mod chaos;
mod clocks;
mod connections;
mod deadlines;
mod edges;
mod ends;
mod foreign_holders;
mod grants;
mod groups;
mod leading;
mod leaks;
mod long_waits;
mod network;
mod refusals;
mod releasing;
mod renewal;
mod replicas;
mod replies;
mod restarts;
mod secrets;
mod sharing;
mod threads;
mod tls;
mod tokens;
mod tracking;
mod url_options;
mod waiting;
mod wire;

use std::time::{Duration, Instant};

use common::{Keys, Server, ms, until};
use leaselock::{Client, Lease, LossReason};

/// The app id of every client here; each test has a server of its own.
const APP: &str = "faults";

fn client_at(url: &str) -> Client {
    client_with(url, ms(5_000))
}

fn client_with(url: &str, command_timeout: Duration) -> Client {
    Client::builder()
        .url(url)
        .app_id(APP)
        .command_timeout(command_timeout)
        .build()
        .expect("a client")
}

fn keys(name: &str) -> Keys {
    Keys::new(APP, name)
}

/// Waits for the loss; panics when it does not come within `limit`.
async fn lost_within(lease: &Lease, limit: Duration) -> LossReason {
    tokio::time::timeout(limit, lease.lost())
        .await
        .unwrap_or_else(|_| panic!("not lost after {limit:?}: {:?}", lease.state()))
}

/// Waits until neither the lock nor its queue is there any more.
async fn gone_within(server: &Server, name: &str, limit: Duration) {
    let keys = keys(name);
    until("the lock and its queue are gone", limit, async || {
        server.int(&["EXISTS", &keys.lock, &keys.queue]) == 0
    })
    .await;
}

/// Waits until `count` waiters are queued, as the server sees it.
async fn queued(server: &Server, name: &str, count: i64) {
    let keys = keys(name);
    until("they wait", ms(5_000), async || {
        server.int(&["ZCARD", &keys.queue]) == count
    })
    .await;
}

/// Starts to wait for `name` in the background.
fn wait_for(client: &Client, name: &str) -> tokio::task::JoinHandle<leaselock::Result<Lease>> {
    let (client, name) = (client.clone(), name.to_owned());
    tokio::spawn(async move { client.acquire(&name).wait(ms(20_000)).await })
}

async fn sleep(millis: u64) {
    tokio::time::sleep(ms(millis)).await;
}

/// Runs a future and says how long it took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = future.await;
    (value, start.elapsed())
}
