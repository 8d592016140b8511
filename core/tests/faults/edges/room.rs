//! Whoever waits at a server that is out of memory stays.

use crate::common::{Server, ms};
use crate::{client_at, keys, queued, sleep, wait_for};

use super::within;

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_52_a_waiter_stays_while_the_server_is_out_of_memory() {
    for server in Server::each(&["--maxmemory-policy", "noeviction"]) {
        for lost in ["nothing", "the lock", "the queue, too"] {
            let (holder, waiter) = (client_at(&server.url()), client_at(&server.url()));
            let held = holder.acquire("res").ttl(ms(1_000)).await.unwrap();
            let waiter = wait_for(&waiter, "res");
            queued(&server, "res", 1).await;
            server.run(&["CONFIG", "SET", "maxmemory", "1"]);
            // It looks when the holder's time is up.
            sleep(1_600).await;
            assert!(!waiter.is_finished(), "{lost}: it was thrown out");
            assert_eq!(server.int(&["ZCARD", &keys("res").queue]), 1, "{lost}");

            match lost {
                "nothing" => assert!(held.release().await.unwrap()),
                "the lock" => drop(server.run(&["DEL", &keys("res").lock])),
                _ => drop(server.run(&["DEL", &keys("res").lock, &keys("res").queue])),
            }
            if lost == "the queue, too" {
                sleep(4_000).await;
                assert!(!waiter.is_finished(), "there is no room for it");
                server.run(&["CONFIG", "SET", "maxmemory", "0"]);
            }

            let lease = within(ms(6_000), lost, waiter).await.unwrap().unwrap();
            lease.check().unwrap();
            server.run(&["CONFIG", "SET", "maxmemory", "0"]);
            assert!(lease.release().await.unwrap());
            drop(held);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_yet_is_refused_at_once() {
    for server in Server::each(&["--maxmemory-policy", "noeviction"]) {
        let (holder, client) = (client_at(&server.url()), client_at(&server.url()));
        let held = holder.acquire("res").ttl(ms(60_000)).await.unwrap();
        server.run(&["CONFIG", "SET", "maxmemory", "1"]);
        let error = client.acquire("res").wait(ms(20_000)).await.unwrap_err();
        assert_eq!(error.kind(), leaselock::ErrorKind::StoreRefused);
        assert!(error.to_string().contains("OOM"), "{error}");
        server.run(&["CONFIG", "SET", "maxmemory", "0"]);
        assert!(held.release().await.unwrap());
    }
}
