//! Waiters whose processes have gone: they cost nobody time, and do not pile up.

use std::sync::atomic::Ordering::SeqCst;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, keys, queued, wait_for};

use super::{queue_gone, within};

/// A graphical client's monitor, say.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_49_who_listens_to_everything_does_not_make_the_dead_count_as_alive() {
    for server in Server::each(&[]) {
        let mut monitor = server.connect();
        let mut heard = monitor.as_pubsub();
        heard.psubscribe("*").unwrap();
        let (holder, waiter) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        queue_gone(&server, "res", 8);
        let waiter = wait_for(&waiter, "res");
        queued(&server, "res", 9).await;

        assert!(held.release().await.unwrap());

        // One claim window of two seconds for each of them, before.
        let lease = within(ms(2_000), "handed over", waiter).await;
        assert!(lease.unwrap().unwrap().release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_51_the_dead_are_dropped_while_the_name_is_held() {
    for server in Server::each(&[]) {
        let (holder, waiter) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(3_000)).await.unwrap();
        queue_gone(&server, "res", 24);
        let queue = keys("res").queue;
        let waiter = wait_for(&waiter, "res");
        let left = || server.int(&["ZCARD", &queue]);

        until("the dead are dropped", ms(30_000), async || left() == 1).await;

        held.check().unwrap();
        assert!(held.release().await.unwrap());
        let lease = within(ms(2_000), "handed over", waiter).await;
        assert!(lease.unwrap().unwrap().release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_51_nobody_slips_in_while_many_dead_are_passed_over() {
    for server in Server::each(&[]) {
        for dead in [100, 250] {
            let proxy = Proxy::start(server.port).await;
            let (holder, newcomer) = (client_at(&proxy.url()), client_at(&server.url()));
            let waiter = client_at(&server.url());
            // It has not found the name held: its next take is one.
            newcomer
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
            let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
            queue_gone(&server, "res", dead);
            let waiter = wait_for(&waiter, "res");
            queued(&server, "res", i64::try_from(dead).unwrap() + 1).await;
            let way = proxy.to_client();
            let before = way.held.load(SeqCst);
            way.hold.store(true, SeqCst);
            let release = tokio::spawn(async move { held.release().await });
            until("its reply waits", ms(5_000), async || {
                way.held.load(SeqCst) > before
            })
            .await;

            // A hundred were passed over, and whoever released has to ask again.
            assert!(newcomer.try_acquire("res").await.unwrap().is_none());
            let set = ["SET", &keys("res").lock, "x", "NX", "PX", "1000"];
            assert_eq!(server.text(&set), None, "nor does anybody else");

            way.hold.store(false, SeqCst);
            assert!(release.await.unwrap().unwrap());
            let lease = within(ms(4_000), "handed over", waiter).await;
            assert!(lease.unwrap().unwrap().release().await.unwrap());
        }
    }
}

/// It is the asking waiter that passes over the dead, of a name that is free.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_51_a_name_that_ran_out_behind_many_dead_is_taken_in_order() {
    for server in Server::each(&[]) {
        queue_gone(&server, "res", 350);
        let client = client_at(&server.url());
        let lease = within(ms(4_000), "taken", wait_for(&client, "res")).await;
        let lease = lease.unwrap().unwrap();
        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
        assert_eq!(
            server.int(&["EXISTS", &keys("res").lock, &keys("res").queue]),
            0
        );
    }
}
