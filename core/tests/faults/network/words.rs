//! A server that says why it ends a connection: its words are the error's.

use std::time::Duration;

use leaselock::{Error, ErrorKind};

use super::{Caller, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::server::{Binary, command};
use crate::common::{Server, ms};

const COMMAND_TIMEOUT: Duration = ms(600);
const WORDS: &str = "max number of clients reached";
const TIMES: usize = 10;

fn says_so(result: Result<(), Error>, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{what}: {error}");
    assert!(error.message().contains(WORDS), "{what}: {error}");
}

/// Ten clients that have no connection yet.
async fn cold(binary: Binary, kind: Kind) {
    let server = Server::start(&binary, &[]);
    let mut own = server.connect();
    let full = command(&["CONFIG", "SET", "maxclients", "1"]);
    full.exec(&mut own).unwrap();
    for time in 0..TIMES {
        let what = format!("{kind:?}, cold, time {time}");
        let client = Caller::new(kind, &server.url(), COMMAND_TIMEOUT);
        says_so(client.try_acquire("res").await.map(drop), &what);
        says_so(client.inspect("res").await.map(drop), &what);
    }
    drop(own);
}

/// A client that had its connections, and needs others.
async fn warm(binary: Binary, kind: Kind) {
    let server = Server::start(&binary, &[]);
    let proxy = Proxy::start(server.port).await;
    let client = Caller::behind(&proxy, kind, Warmth::Warm, COMMAND_TIMEOUT).await;
    let mut own = server.connect();
    for words in [
        &["CONFIG", "SET", "maxclients", "1"][..],
        &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
        &["CLIENT", "KILL", "TYPE", "pubsub"],
    ] {
        command(words).exec(&mut own).unwrap();
    }
    for time in 0..TIMES {
        let what = format!("{kind:?}, warm, time {time}");
        let taken = client.acquire("res", ms(20_000), Some(ms(0))).await;
        says_so(taken.map(drop), &what);
        let taken = client.acquire("res", ms(20_000), Some(ms(300))).await;
        says_so(taken.map(drop), &what);
    }
    // When there is room again, all is well.
    command(&["CONFIG", "SET", "maxclients", "100"])
        .exec(&mut own)
        .unwrap();
    let lease = client.acquire("res", ms(20_000), Some(ms(5_000))).await;
    assert!(lease.unwrap().release().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_42_a_full_server_is_quoted_to_a_client_without_a_connection() {
    on_each(|binary| async move {
        all(KINDS.map(|kind| cold(binary.clone(), kind))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_42_a_full_server_is_quoted_to_a_client_that_lost_its_connections() {
    on_each(|binary| async move {
        all(KINDS.map(|kind| warm(binary.clone(), kind))).await;
    })
    .await;
}
