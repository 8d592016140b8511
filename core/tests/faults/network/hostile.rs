//! Servers that answer in a way that nobody would: bit by bit, or always with a refusal that passes.

use std::sync::atomic::Ordering::SeqCst;

use leaselock::{ErrorKind, LeaseState};

use super::{Caller, KINDS, Warmth, all, apart, on_each};
use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, sleep, timed};

/// A wait is a wait also where something arrives all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_bounds_an_answer_that_comes_byte_by_byte() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        all(KINDS.map(|kind| {
            let port = server.port;
            async move {
                let proxy = Proxy::start(port).await;
                let client = Caller::behind(&proxy, kind, Warmth::Warm, ms(5_000)).await;
                let name = format!("{kind:?}");
                // The next byte is always sooner there than anybody looks at the clock.
                proxy.to_client().drip_ms.store(40, SeqCst);
                let (taken, took) = timed(client.acquire(&name, ms(20_000), Some(ms(300)))).await;
                let error = taken.map(drop).expect_err("not in this time");
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{kind:?}");
                assert!(took < ms(1_000), "{kind:?}: {took:?}");
                proxy.heal();
                let lease = client.acquire(&name, ms(20_000), Some(ms(10_000))).await;
                assert!(lease.unwrap().release().await.unwrap(), "{kind:?}");
            }
        }))
        .await;
    })
    .await;
}

/// A server that loads its data lets everybody in, and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_is_not_stormed() {
    const LEASES: usize = 40;
    const SECONDS: usize = 4;
    on_each(|binary| async move {
        let options = ["--enable-debug-command", "yes"];
        let server = Server::start(&binary, &options);
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let fill =
            "for n = 1, 400 do redis.call('SET', 'fill' .. n, string.rep('x' .. n, 4000)) end";
        server.run(&["EVAL", fill, "0"]);
        // It looks at its connections between keys, and takes some five seconds.
        server.run(&["CONFIG", "SET", "rdbcompression", "no"]);
        server.run(&[
            "CONFIG",
            "SET",
            "loading-process-events-interval-bytes",
            "1024",
        ]);
        server.run(&["CONFIG", "SET", "key-load-delay", "12500"]);
        let mut leases = Vec::new();
        for number in 0..LEASES {
            // Each is renewed at a moment of its own.
            let name = format!("res-{number}");
            leases.push(client.acquire(name).ttl(ms(9_000)).await.unwrap());
            sleep(40).await;
        }
        let mut own = server.connect();
        let reload = apart(move || redis::cmd("DEBUG").arg("RELOAD").exec(&mut own));
        let reload = tokio::spawn(reload);
        sleep(300).await;
        let before = proxy.accepted();
        sleep(1_000 * SECONDS as u64).await;
        let made = proxy.accepted() - before;
        assert!(!reload.is_finished(), "it has loaded");
        assert!(made <= 4 * SECONDS + 2, "{made} connections");
        reload.await.unwrap().unwrap();
        until("all are held", ms(3_000), async || {
            leases.iter().all(|lease| lease.state() == LeaseState::Held)
        })
        .await;
    })
    .await;
}
