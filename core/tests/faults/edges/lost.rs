//! A queue that the server lost is made again at once by those who stood in it.

use std::time::Duration;

use crate::common::{Server, ms};
use crate::{client_at, keys, queued};

use super::within;

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
        // Who looks first may be served first; all others are in the order in which they came.
        let late = tokens.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(late <= 2, "{tokens:?}");
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
