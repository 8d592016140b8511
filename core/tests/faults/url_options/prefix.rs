//! `key_prefix`: locks of one's own on a server that others use, under a rule that reaches nothing else.

use leaselock::ErrorKind;

use crate::access::documented_rule;
use crate::common::{Keys, Server, ms, until};
use crate::network::{Caller, KINDS};
use crate::{APP, client_at, keys, sleep, wait_for};

fn prefixed(server: &Server, prefix: &str) -> String {
    format!("{}?key_prefix={prefix}", server.url())
}

fn all_keys(server: &Server) -> Vec<String> {
    redis::from_redis_value(server.run(&["KEYS", "*"])).expect("texts")
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_prefix_stands_before_every_key_and_channel() {
    for server in Server::each(&[]) {
        for kind in KINDS {
            server.run(&["FLUSHALL"]);
            let client = Caller::new(kind, &prefixed(&server, "myteam:"), ms(5_000));
            // Often enough for every connection that a client may have.
            for _ in 0..25 {
                let lease = client.acquire("res", ms(20_000), None).await.unwrap();
                assert!(server.exists(&format!("myteam:lock||{APP}||res")));
                assert!(lease.release().await.unwrap());
            }
            let held = client.acquire("res", ms(20_000), None).await.unwrap();
            let waiting = {
                let client = client.clone();
                tokio::spawn(
                    async move { client.acquire("res", ms(20_000), Some(ms(9_000))).await },
                )
            };
            let queue = format!("{{myteam:lock||{APP}||res}}||||queue");
            until("it waits", ms(5_000), async || {
                server.int(&["ZCARD", &queue]) == 1
            })
            .await;
            let mut there = all_keys(&server);
            there.sort();
            let fence = format!("myteam:lock||{APP}||||fence");
            assert_eq!(there, [format!("myteam:lock||{APP}||res"), fence, queue]);
            let channels: Vec<String> =
                redis::from_redis_value(server.run(&["PUBSUB", "CHANNELS"])).unwrap();
            assert_eq!(channels.len(), 1, "{channels:?}");
            assert!(
                channels[0].starts_with("myteam:lock||inbox||"),
                "{channels:?}"
            );
            assert!(held.release().await.unwrap());
            let next = waiting.await.unwrap().expect("handed over");
            assert!(next.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_another_prefix_is_another_lock() {
    for server in Server::each(&[]) {
        let urls = [
            server.url(),
            prefixed(&server, "a:"),
            prefixed(&server, "b:"),
        ];
        let clients = urls.map(|url| client_at(&url));
        let mut leases = Vec::new();
        for client in &clients {
            let lease = client.try_acquire("res").await.unwrap();
            leases.push(lease.expect("nobody else's"));
            assert!(client.try_acquire("res").await.unwrap().is_none());
        }
        for (client, lease) in clients.iter().zip(&leases) {
            let found = client.inspect("res").await.unwrap().unwrap();
            assert_eq!(
                (found.name.as_str(), found.owner.as_str()),
                ("res", lease.owner())
            );
            let mut locks = client.locks("*").unwrap();
            let found = locks.next().await.unwrap().unwrap();
            assert_eq!(
                (found.name.as_str(), found.owner.as_str()),
                ("res", lease.owner())
            );
            assert!(locks.next().await.is_none(), "its own only");
            assert!(lease.release().await.unwrap());
        }
        // No prefix is what an empty one is.
        let plain = client_at(&prefixed(&server, ""));
        let lease = plain.acquire("res").await.unwrap();
        assert!(server.exists(&keys("res").lock));
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_prefix_is_percent_decoded() {
    for server in Server::each(&[]) {
        let client = client_at(&prefixed(&server, "my%20team%26co%3A%2B"));
        let lease = client.acquire("res").await.unwrap();
        assert!(server.exists(&format!("my team&co:+lock||{APP}||res")));
        assert!(lease.release().await.unwrap());
    }
}

/// A user with the documented commands, and the keys and channels of one prefix.
fn user(server: &Server) -> String {
    let rule: Vec<String> = documented_rule()
        .into_iter()
        .map(|word| match word.as_str() {
            "~lock||*" => "~myteam:*".into(),
            "~{lock||*" => "~{myteam:*".into(),
            "&lock||*" => "&myteam:*".into(),
            _ => word,
        })
        .collect();
    assert_eq!(
        rule.iter().filter(|word| word.contains("myteam")).count(),
        3
    );
    let mut words = vec!["ACL", "SETUSER", "leaselock", "reset"];
    words.extend(rule.iter().map(String::as_str));
    server.run(&words);
    format!("redis://leaselock:secret@127.0.0.1:{}", server.port)
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_prefix_works_under_a_rule_for_it_alone() {
    for server in Server::each(&[]) {
        let without = user(&server);
        let url = format!("{without}?key_prefix=myteam:");
        let (a, b) = (client_at(&url), client_at(&url));
        for name in ["res", "{tag}res", "task:{}", "x}{"] {
            let first = a.acquire(name).ttl(ms(900)).await.unwrap();
            let waiter = wait_for(&b, name);
            until("a waiter", ms(2_000), async || {
                a.inspect(name).await.unwrap().unwrap().waiters == 1
            })
            .await;
            sleep(1_200).await;
            first.check().expect("renewed");
            assert!(first.release().await.unwrap());
            let second = waiter.await.unwrap().expect("handed over");
            let mut locks = b.locks("*").unwrap();
            assert_eq!(locks.next().await.unwrap().unwrap().name, name);
            assert_eq!(a.force_release(name).await.unwrap().as_str(), "RELEASED");
            drop(second);
        }
        let error = client_at(&without).acquire("res").await.map(drop);
        assert_eq!(
            error.expect_err("not its keys").kind(),
            ErrorKind::StoreRefused
        );
        let plain = Keys::new(APP, "res");
        assert!(!server.exists(&plain.lock));
    }
}
