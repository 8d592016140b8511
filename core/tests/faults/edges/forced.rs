//! A forced release ends the lease that it meets, once.

use std::sync::atomic::Ordering::SeqCst;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, queued, wait_for};

use super::{queue_gone, within};

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_46_a_forced_release_whose_reply_is_lost_breaks_one_lease() {
    for server in Server::each(&[]) {
        for lost in 0..2 {
            let proxy = Proxy::start(server.port).await;
            let (operator, holder) = (client_at(&proxy.url()), client_at(&server.url()));
            let (next, last) = (client_at(&server.url()), client_at(&server.url()));
            // Connected, and the server knows the scripts.
            holder
                .acquire("res")
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
            operator.inspect("res").await.unwrap();
            let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
            let next = wait_for(&next, "res");
            queued(&server, "res", 1).await;
            let last = wait_for(&last, "res");
            queued(&server, "res", 2).await;
            let way = proxy.to_client();
            if lost == 1 {
                // The first reply waits until it is the second that is to be lost.
                way.hold.store(true, SeqCst);
            } else {
                way.lose_next();
            }
            let before = way.held.load(SeqCst);
            let force = tokio::spawn(async move { operator.force_release("res").await });
            if lost == 1 {
                until("it looked", ms(5_000), async || {
                    way.held.load(SeqCst) > before
                })
                .await;
                way.lose_next();
                way.hold.store(false, SeqCst);
            }

            let status = force.await.unwrap().unwrap();

            assert_eq!(status.as_str(), "RELEASED");
            assert_eq!(way.lost.load(SeqCst), 1);
            let next = within(ms(5_000), "handed over", next)
                .await
                .unwrap()
                .unwrap();
            // Whatever was broken after the first shows at once by an extension.
            next.extend(None).await.unwrap();
            assert!(!last.is_finished(), "only one lease was broken");
            assert!(!held.release().await.unwrap());
            assert!(next.release().await.unwrap());
            assert!(last.await.unwrap().unwrap().release().await.unwrap());
        }
    }
}

/// Past a hundred of them it has to ask again, and someone else may have the name by then.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_46_a_forced_release_past_many_dead_waiters_breaks_one_lease() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let (operator, holder) = (client_at(&proxy.url()), client_at(&server.url()));
        let (newcomer, next) = (client_at(&server.url()), client_at(&server.url()));
        newcomer
            .acquire("res")
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        operator.inspect("res").await.unwrap();
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        queue_gone(&server, "res", 250);
        let next = wait_for(&next, "res");
        queued(&server, "res", 251).await;
        let way = proxy.to_client();
        let before = way.held.load(SeqCst);
        way.hold.store(true, SeqCst);
        let force = tokio::spawn(async move { operator.force_release("res").await });
        until("it was answered", ms(5_000), async || {
            way.held.load(SeqCst) > before
        })
        .await;
        let between = newcomer.try_acquire("res").await.unwrap();
        way.hold.store(false, SeqCst);

        let status = force.await.unwrap().unwrap();

        assert_eq!(status.as_str(), "RELEASED");
        if let Some(between) = between {
            between
                .extend(None)
                .await
                .expect("it was not that lease which was met");
            assert!(between.release().await.unwrap());
        }
        let next = within(ms(5_000), "handed over", next)
            .await
            .unwrap()
            .unwrap();
        next.extend(None).await.unwrap();
        assert!(!held.release().await.unwrap());
        assert!(next.release().await.unwrap());
        let status = newcomer.force_release("res").await.unwrap();
        assert_eq!(status.as_str(), "NOT_FOUND");
    }
}

/// Whoever else writes there may have owners that are no text.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_no_text_can_be_broken() {
    for server in Server::each(&[]) {
        let operator = client_at(&server.url());
        let lock = crate::keys("res").lock;
        let set = redis::cmd("SET")
            .arg(&lock)
            .arg(&[0xff_u8, 0, 0xfe][..])
            .query(&mut server.connect());
        let _: () = set.unwrap();
        let status = operator.force_release("res").await.unwrap();
        assert_eq!(status.as_str(), "RELEASED");
        assert!(!server.exists(&lock));
    }
}
