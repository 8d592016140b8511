//! A queue that the server lost is made again at once by those who stood in it.

use std::time::Duration;

use crate::common::{Server, ms, until};
use crate::{client_at, keys, queued, sleep, wait_for};

use super::{forged_grant, within};

const WAITERS: usize = 20;

async fn all_are_served_soon_after(lose: impl Fn(&Server), limit: Duration) {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        let clients = [client_at(&server.url()), client_at(&server.url())];
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let mut waiters = Vec::new();
        for at in 0..WAITERS {
            let client = clients[at % 2].clone();
            waiters.push(tokio::spawn(async move {
                let lease = client.acquire("res").wait(ms(60_000)).await.unwrap();
                let token = lease.token();
                lease.release().await.unwrap();
                token
            }));
            queued(&server, "res", i64::try_from(at).unwrap() + 1).await;
        }

        lose(&server);

        let all = async {
            let mut tokens = Vec::new();
            for waiter in waiters {
                tokens.push(waiter.await.unwrap());
            }
            tokens
        };
        let tokens = within(limit, "all are served", all).await;
        // A client that looks first may be served first, and in it whoever looked; its others are in the order in which they came.
        for client in 0..2 {
            let tokens: Vec<u64> = tokens.iter().skip(client).step_by(2).copied().collect();
            let late = tokens.windows(2).filter(|pair| pair[0] > pair[1]).count();
            assert!(late <= 1, "{tokens:?}");
        }
        drop(held);
    }
}

/// Connections stay, so nothing tells but the look that comes after three seconds.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_48_after_a_flush_all_waiters_are_served_soon() {
    all_are_served_soon_after(|server| drop(server.run(&["FLUSHALL"])), ms(9_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_48_after_the_queue_alone_was_lost_all_waiters_are_served_soon() {
    let lose = |server: &Server| {
        server.run(&["DEL", &keys("res").queue]);
        server.run(&["DEL", &keys("res").lock]);
    };
    all_are_served_soon_after(lose, ms(9_000)).await;
}

/// Whoever comes looks for all of its client, but does not find their places lost.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_were_lost_are_asked_for_again_while_others_keep_coming() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let mut waiters = Vec::new();
        for at in 1..=3 {
            waiters.push(wait_for(&client, "res"));
            queued(&server, "res", at).await;
        }
        sleep(100).await;
        server.run(&["DEL", &keys("res").queue]);
        for _ in 0..16 {
            waiters.push(wait_for(&client, "res"));
            sleep(500).await;
        }
        assert_eq!(
            server.int(&["ZCARD", &keys("res").queue]),
            i64::try_from(waiters.len()).unwrap(),
            "all stand in the queue"
        );
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_lost_twice_at_once_are_asked_for_again() {
    for server in Server::each(&[]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let mut waiters = Vec::new();
        for at in 1..=5 {
            waiters.push(wait_for(&client, "res"));
            queued(&server, "res", at).await;
        }
        sleep(100).await;
        for _ in 0..2 {
            let queue = keys("res").queue;
            // Whoever claims finds its place lost.
            let mut lose = redis::pipe();
            lose.atomic().cmd("DEL").arg(&queue);
            lose.add_command(forged_grant(&server, "res"));
            let _: redis::Value = lose.query(&mut server.connect()).expect("lost");
            sleep(400).await;
        }
        let all = async || server.int(&["ZCARD", &keys("res").queue]) == 5;
        until("all stand in the queue", ms(40_000), all).await;
        drop((held, waiters));
    }
}
