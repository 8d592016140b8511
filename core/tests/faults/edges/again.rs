//! A command that is asked again, or is the second of its kind, does as much as the first, and promises no more.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, keys, queued, sleep, wait_for};

use super::{forged_grant, within};

/// A first wait whose answer was lost finds its place when it is asked again, and a counter whose last counts were lost, as
/// after a failover: a take that counts on what it seeded must not hand out what was handed out before.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_wait_that_is_asked_again_seeds_the_counter() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (holder, client) = (client_at(&server.url()), client_at(&proxy.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let first = wait_for(&client, "res");
        queued(&server, "res", 1).await;
        sleep(100).await;

        proxy.to_client().hold.store(true, SeqCst);
        // Behind another of its client it does not take first.
        let second = wait_for(&client, "res");
        queued(&server, "res", 2).await;
        let fence = &keys("res").fence;
        server.run(&["SET", fence, "1000000000000000"]);
        proxy.cut();
        proxy.to_client().hold.store(false, SeqCst);
        let connected_again = async || client.stats().reconnects > 0;
        until("connected again", ms(5_000), connected_again).await;
        sleep(300).await;

        let other = client.acquire("other").await.unwrap();
        assert!(
            u128::from(other.token()) > now.as_micros(),
            "{} is no larger than what was handed out before",
            other.token()
        );
        drop((held, first, second));
    }
}

/// A grant that came to nothing, since it was claimed too late or forged, is not the last.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_after_one_that_came_to_nothing_cuts_the_claim_window_too() {
    for server in Server::each(&[]) {
        let (holder, waiter) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        let waits = waiter
            .acquire("res")
            .ttl(ms(700))
            .renew(false)
            .wait(ms(20_000));
        let waits = tokio::spawn(waits.into_future());
        queued(&server, "res", 1).await;
        sleep(100).await;
        let heard: i64 = forged_grant(&server, "res")
            .query(&mut server.connect())
            .expect("told");
        assert_eq!(heard, 1);
        sleep(300).await;
        assert!(held.release().await.unwrap());
        let lease = within(ms(5_000), "handed over", waits).await.unwrap();
        let lease = lease.unwrap();
        let left = server.int(&["PTTL", &keys("res").lock]);
        assert!(left <= 700, "{left}");
        drop(lease);
    }
}
