//! A waiter that nobody polls does not keep the others of its client from the name.

use crate::common::{Server, ms};
use crate::{client_at, keys, queued, wait_for};

use super::within;

/// In a `select!` loop another arm has the word; a thread is in its signal handler.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_47_a_waiter_behind_one_that_is_not_polled_gets_the_name() {
    for server in Server::each(&[]) {
        for told in [true, false] {
            let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
            let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
            let unpolled = client.acquire("res").wait(ms(60_000)).into_future();
            tokio::pin!(unpolled);
            tokio::select! {
                biased;
                _ = &mut unpolled => unreachable!("it is held"),
                () = queued(&server, "res", 1) => {}
            }
            let second = wait_for(&client, "res");
            queued(&server, "res", 2).await;

            if told {
                assert!(held.release().await.unwrap());
            } else {
                server.run(&["DEL", &keys("res").lock]);
            }

            // Nobody tells: a look after 3 s, and half a second more behind the first; then the first one's claim window.
            let limit = if told { ms(4_000) } else { ms(9_000) };
            let lease = within(limit, "the second", second).await.unwrap().unwrap();
            // The first was passed over, and stands in the queue again when it is polled.
            assert!(lease.release().await.unwrap());
            let first = within(ms(5_000), "the first", unpolled).await.unwrap();
            assert!(first.token() > lease.token());
            assert!(first.release().await.unwrap());
        }
    }
}
