//! Shared names: many holders, long runs, a server that is full, and what is sent for them.

use std::collections::HashSet;

use leaselock::{Client, Mode, ReleaseStatus};

use crate::common::{Keys, Server, ms, until};
use crate::{client_at, keys, lost_within, queued, sleep, wait_for};

const FAR: &str = "9000000000000";

fn holders(name: &str) -> String {
    let Keys { lock, .. } = keys(name);
    format!("{{{lock}}}||||holders")
}

/// Has so many share the name for a long time, as one who has looked into the protocol might.
fn share(server: &Server, name: &str, number: usize) {
    let mut connection = server.connect();
    let mut pipeline = redis::pipe();
    for at in 0..number {
        let owner = format!("{at:032x}");
        pipeline.cmd("ZADD").arg(holders(name)).arg(FAR).arg(owner);
    }
    pipeline.cmd("SET").arg(keys(name).lock).arg("||shared");
    let _: redis::Value = pipeline.query(&mut connection).expect("shared");
}

fn shared_wait(
    client: &Client,
    name: &str,
) -> tokio::task::JoinHandle<leaselock::Result<leaselock::Lease>> {
    let (client, name) = (client.clone(), name.to_owned());
    tokio::spawn(async move { client.acquire(&name).shared().wait(ms(20_000)).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn more_holders_than_fit_into_one_reply_are_named_and_ended_by_force() {
    const MANY: usize = 2_500;
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        share(&server, "res", MANY);
        let found = client.inspect("res").await.unwrap().expect("it is held");
        assert_eq!(
            (found.mode, found.holder_count),
            (Mode::Shared, MANY as u64)
        );
        let owners: HashSet<_> = found.holders.iter().map(|it| &it.owner).collect();
        assert_eq!(owners.len(), MANY);
        let mut listing = client.locks("*").unwrap();
        let listed = listing.next().await.expect("one lock").unwrap();
        assert_eq!(
            (listed.holders.len(), listed.holder_count),
            (10, MANY as u64)
        );
        assert!(listing.next().await.is_none());

        let waiting = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        let status = client.force_release("res").await.unwrap();
        assert_eq!(status, ReleaseStatus::Released);
        let lease = waiting.await.unwrap().unwrap();
        assert_eq!(server.int(&["EXISTS", &holders("res")]), 0);
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_whose_time_is_over_are_not_named() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        share(&server, "res", 3);
        for ended in 0..20 {
            let owner = format!("ended {ended}");
            server.run(&["ZADD", &holders("res"), "1", &owner]);
        }
        let inspected = client.inspect("res").await.unwrap().expect("it is held");
        assert_eq!((inspected.holders.len(), inspected.holder_count), (3, 3));
        let listed = client.locks("*").unwrap().next().await;
        let listed = listed.expect("one lock").unwrap();
        assert_eq!((listed.holders.len(), listed.holder_count), (3, 3));
        assert_eq!(listed.owner, inspected.owner);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_readers_longer_than_a_script_admits_comes_in() {
    const MANY: i64 = 250;
    for server in Server::each(&[]) {
        let (writer, client) = (client_at(&server.url()), client_at(&server.url()));
        let held = writer.acquire("res").await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MANY {
            waiting.push(shared_wait(&client, "res"));
        }
        queued(&server, "res", MANY).await;
        let last = wait_for(&writer, "res");
        queued(&server, "res", MANY + 1).await;
        assert!(held.release().await.unwrap());
        let mut leases = Vec::new();
        for waiting in waiting {
            leases.push(waiting.await.unwrap().unwrap());
        }
        assert!(!last.is_finished());
        assert_eq!(server.int(&["ZCARD", &holders("res")]), MANY);
        let tokens: HashSet<u64> = leases.iter().map(leaselock::Lease::token).collect();
        assert_eq!(tokens.len(), leases.len());
        for lease in leases {
            assert!(lease.release().await.unwrap());
        }
        let last = last.await.unwrap().unwrap();
        assert!(tokens.iter().all(|token| *token < last.token()));
        assert!(last.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_out_of_memory_renews_what_is_shared() {
    for server in Server::each(&["--maxmemory-policy", "noeviction"]) {
        let (one, other) = (client_at(&server.url()), client_at(&server.url()));
        let first = one.acquire("res").shared().ttl(ms(1_500)).await.unwrap();
        let second = other
            .acquire("res")
            .permits(2)
            .ttl(ms(1_500))
            .await
            .unwrap();
        server.run(&["CONFIG", "SET", "maxmemory", "1"]);
        sleep(3_500).await;
        first.check().unwrap();
        second.check().unwrap();
        assert!(first.release().await.unwrap());
        server.run(&["CONFIG", "SET", "maxmemory", "0"]);
        assert!(second.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_process_has_gone_does_not_hold_up_readers() {
    for server in Server::each(&[]) {
        let (one, other) = (client_at(&server.url()), client_at(&server.url()));
        let first = one.acquire("res").shared().ttl(ms(60_000)).await.unwrap();
        let gone = format!("1|{0}|1|{0}", "0123456789abcdef0123456789abcdef");
        server.run(&["ZADD", &keys("res").queue, "1", &gone]);
        let second = other.acquire("res").shared().wait(ms(2_000)).await.unwrap();
        assert_eq!(server.int(&["EXISTS", &keys("res").queue]), 0);
        assert!(first.release().await.unwrap());
        assert!(second.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_taken_out_does_not_come_back() {
    for server in Server::each(&[]) {
        let (one, other) = (client_at(&server.url()), client_at(&server.url()));
        let first = one.acquire("res").shared().ttl(ms(900)).await.unwrap();
        let second = other.acquire("res").shared().ttl(ms(900)).await.unwrap();
        let owner = first.owner().to_owned();
        one.release("res", &owner).await.unwrap();
        lost_within(&first, ms(2_000)).await;
        until("the other goes on", ms(2_000), async || {
            server.int(&["ZCARD", &holders("res")]) == 1
        })
        .await;
        second.check().unwrap();
        assert!(second.release().await.unwrap());
    }
}
