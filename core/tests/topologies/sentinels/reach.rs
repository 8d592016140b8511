//! Which sentinels are reached, and what is said where none is, or none knows.

use std::net::TcpListener;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use leaselock::{ErrorKind, LeaseState};

use super::{apart, keys, named, on_each, start};
use crate::callers::{Caller, KINDS, Kind, builder};
use crate::common::proxy::Proxy;
use crate::common::topology::{Options, SERVICE, Sentinels};
use crate::common::{Server, binaries, ms};

/// The URL of these sentinels.
fn url(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!("redis+sentinel://{}/{SERVICE}", hosts.join(","))
}

/// A port at which nobody listens.
fn deserted() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

async fn refused(url: &str) -> String {
    let error = Caller::new(Kind::Async, url).try_acquire("job").await.err();
    let error = error.expect("refused");
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_34_sentinels_that_are_down_or_silent_from_the_start_hold_up_nobody() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let silent = Proxy::start(sentinels.sentinels[0].port).await;
        silent.black_hole();
        let urls = [
            url(&[deserted(), silent.port, sentinels.sentinels[1].port]),
            // It names one of three, which knows the others.
            url(&[sentinels.sentinels[2].port]),
        ];
        let mut holders = Vec::new();
        for (url, kind) in urls.iter().zip(KINDS) {
            let began = Instant::now();
            let client = Caller::new(kind, url);
            let lease = client.acquire(&format!("{kind:?}"), None).await.unwrap();
            assert!(began.elapsed() < ms(2_000), "{:?}", began.elapsed());
            super::replicated(&sentinels, &format!("{kind:?}"), lease.owner()).await;
            holders.push((client, lease));
        }
        // The one that a URL names is not there any more: others tell.
        let mut sentinels = sentinels;
        sentinels.sentinels[2].kill();
        tokio::time::sleep(ms(1_500)).await;
        let old = sentinels.sentinel_failover();
        let (_, new) = named(&sentinels, old, Instant::now()).await;
        let switch = Instant::now();
        for (client, lease) in holders {
            let name = lease.owner().to_owned();
            loop {
                let other = client.acquire(&name, Some(ms(10_000))).await.unwrap();
                let is_there = sentinels.nodes[new].exists(&keys(&name).lock);
                let _ = other.release().await;
                if is_there {
                    break;
                }
                assert!(switch.elapsed() < ms(4_000), "still at the old master");
            }
            assert_eq!(lease.state(), LeaseState::Held);
            assert!(lease.release().await.unwrap());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_answer_slowly_are_waited_for_the_next_time() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let (mut proxies, mut pairs) = (Vec::new(), Vec::new());
        for sentinel in &sentinels.sentinels {
            let slow = Proxy::start(sentinel.port).await;
            slow.to_client().delay_ms.store(400, SeqCst);
            let reached = slow.url().replace("redis://", "");
            pairs.push((format!("127.0.0.1:{}", sentinel.port), reached));
            proxies.push(slow);
        }
        for kind in KINDS {
            let url = url(&[proxies[0].port]);
            let client = Caller::of(kind, builder(&url).address_map(pairs.clone()));
            let lease = client.acquire("job", Some(ms(10_000))).await.unwrap();
            assert!(lease.release().await.unwrap());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_go_on_while_all_sentinels_are_down_and_new_clients_are_told() {
    on_each(|binary| async move {
        let mut sentinels = start(&binary).await;
        let url = sentinels.url();
        let mut held = Vec::new();
        for kind in KINDS {
            let client = Caller::of(kind, builder(&url));
            let Caller::Async(plain) = Caller::new(Kind::Async, &url) else {
                unreachable!()
            };
            let short = plain.acquire("short").ttl(ms(2_000)).await.unwrap();
            held.push((
                client.acquire(&format!("{kind:?}"), None).await.unwrap(),
                client,
            ));
            assert!(short.release().await.unwrap());
        }
        let plain = builder(&url).build().unwrap();
        let short = plain.acquire("short").ttl(ms(1_500)).await.unwrap();
        for sentinel in &mut sentinels.sentinels {
            sentinel.kill();
        }
        // Past its time, were it not renewed.
        tokio::time::sleep(ms(3_000)).await;
        assert_eq!(short.state(), LeaseState::Held);
        for (lease, client) in held {
            assert!(lease.release().await.unwrap());
            let again = client.acquire("more", None).await.unwrap();
            assert!(again.release().await.unwrap());
        }
        let late = builder(&url).command_timeout(ms(1_000)).build().unwrap();
        let error = late
            .try_acquire("job")
            .await
            .expect_err("nobody says where");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        for sentinel in &sentinels.sentinels {
            let address = format!("127.0.0.1:{}", sentinel.port);
            assert!(error.to_string().contains(&address), "{error}");
        }
        assert!(short.release().await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sentinel_or_knows_no_such_service_is_refused_in_words() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let master = sentinels.nodes[0].port;
        let words = refused(&sentinels.url().replace(SERVICE, "elsewhere")).await;
        assert!(words.contains("no service \"elsewhere\""), "{words}");
        assert!(
            words.contains(&sentinels.sentinels[1].port.to_string()),
            "{words}"
        );
        let words = refused(&url(&[master])).await;
        assert!(words.contains("is no sentinel"), "{words}");
        let sentinel = sentinels.sentinels[0].port;
        let words = refused(&format!("redis://127.0.0.1:{sentinel}")).await;
        assert!(words.contains("is a sentinel"), "{words}");
        assert!(words.contains("redis+sentinel://"), "{words}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_address_is_mapped_or_named_with_the_cure() {
    on_each(|binary| async move {
        let sentinels = start(&binary).await;
        let master = format!("127.0.0.1:{}", sentinels.nodes[0].port);
        let proxy = Proxy::start(sentinels.nodes[0].port).await;
        let mapped = builder(&sentinels.url())
            .address_map([(master.clone(), format!("localhost:{}", proxy.port))]);
        let mapped = Caller::of(Kind::Async, mapped);
        let lease = mapped.acquire("job", None).await.unwrap();
        assert!(proxy.accepted() > 0, "it goes where the map says");
        assert!(lease.release().await.unwrap());

        let nowhere = format!("127.0.0.1:{}", deserted());
        let lost = builder(&sentinels.url())
            .address_map([(master.clone(), nowhere.clone())])
            .command_timeout(ms(500));
        let lost = Caller::of(Kind::Async, lost);
        let error = lost.try_acquire("job").await.err().expect("not reached");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        for word in [&*master, &nowhere, "address_map", "announce-hostnames"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_host_names_are_resolved() {
    let started = binaries().into_iter().map(|binary| async move {
        let names = "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n";
        let sentinels = apart(move || {
            let options = Options {
                args: &["--replica-announce-ip", "localhost"],
                sentinel: names,
                ..Options::default()
            };
            Sentinels::start_with(&binary, &options)
        })
        .await;
        let client = Caller::new(Kind::Blocking, &sentinels.url());
        let lease = client.acquire("job", None).await.unwrap();
        let old = sentinels.sentinel_failover();
        let switch = Instant::now();
        let port = tokio::task::block_in_place(|| sentinels.new_master(old));
        let told = |node: &Server| -> Vec<String> {
            let told = node.run(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]);
            redis::from_redis_value(told).expect("host and port")
        };
        assert_eq!(
            told(&sentinels.sentinels[0]),
            ["localhost".to_owned(), port.to_string()]
        );
        let other = client.acquire("other", Some(ms(10_000))).await.unwrap();
        assert!(switch.elapsed() < Duration::from_secs(20));
        let new = sentinels
            .nodes
            .iter()
            .find(|node| node.port == port)
            .unwrap();
        assert!(new.exists(&keys("other").lock));
        assert!(other.release().await.unwrap());
        drop(lease);
    });
    super::all(started).await;
}
