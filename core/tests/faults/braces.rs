//! Names with braces: whatever data makes of them, a lock's keys fall into one slot.

use std::collections::BTreeSet;

use leaselock::diagnosis::Diagnosis;
use leaselock::{Client, ErrorKind};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::access::documented_rule;
use crate::common::{Server, ms, until};
use crate::{APP, client_at, wait_for};

/// CRC16-CCITT (XMODEM) as the specification of clusters writes it, bit by bit.
fn crc16(text: &str) -> u16 {
    let mut crc = 0_u16;
    for byte in text.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc
}

fn tag(key: &str) -> Option<&str> {
    let begin = key.find('{')? + 1;
    let length = key[begin..].find('}')?;
    (length > 0).then(|| &key[begin..begin + length])
}

fn slot(key: &str) -> u16 {
    crc16(tag(key).unwrap_or(key)) % 16_384
}

/// The queue of `lock` by the contract; `prefix` stands before `lock||`.
fn queue(prefix: &str, lock: &str) -> String {
    if tag(lock).is_some() {
        return format!("{lock}||||queue");
    }
    if !lock.contains(['{', '}']) {
        return format!("{{{lock}}}||||queue");
    }
    let tag = (0_u32..1_000_000)
        .map(|number| format!("{{{prefix}lock||{number}}}"))
        .find(|tag| slot(tag) == slot(lock));
    format!("{}||||queue||{lock}", tag.expect("one of them"))
}

fn all_keys(server: &Server) -> BTreeSet<String> {
    redis::from_redis_value(server.run(&["KEYS", "*"])).expect("texts")
}

/// Names of few characters, most of them braces.
fn names(count: usize) -> BTreeSet<String> {
    let name = prop_oneof![
        "[{}]{1,6}",
        "[a{}|:é]{1,12}",
        "[a-z]{1,4}:\\{[a-z]{0,2}\\}",
        "[a-z{}]{100,400}"
    ]
    .prop_filter("bars are for another test", |name| {
        !name.contains("||") && !name.starts_with('|') && !name.ends_with('|')
    });
    let mut runner = TestRunner::default();
    let mut names: BTreeSet<String> = ["task:{}", "{", "}{", "a{b}c", "{}{x}"]
        .map(str::to_owned)
        .into();
    while names.len() < count {
        names.insert(name.new_tree(&mut runner).expect("a name").current());
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_69_any_braces_are_a_name() {
    for (server, cluster) in Server::each(&[]).zip(Server::each(&["--cluster-enabled", "yes"])) {
        for (app, prefix) in [
            ("", ""),
            (APP, ""),
            ("{}app", ""),
            (APP, "my{team}:"),
            (APP, "t:"),
        ] {
            server.run(&["FLUSHALL"]);
            let url = format!("{}?key_prefix={prefix}", server.url());
            let client = || Client::builder().url(&url).app_id(app).build().unwrap();
            let clients = [client(), client()];
            let names = names(12);
            let mut held = Vec::new();
            for name in &names {
                let lease = clients[0].acquire(name).await.expect(name);
                held.push((lease, wait_for(&clients[1], name)));
            }
            until("they wait", ms(20_000), async || {
                all_keys(&server).len() == 2 * names.len() + 1
            })
            .await;

            let before = match app {
                "" => format!("{prefix}lock||"),
                app => format!("{prefix}lock||{app}||"),
            };
            let locks = names.iter().map(|name| format!("{before}{name}"));
            let mut expected = BTreeSet::from([format!("{before}||fence")]);
            for lock in locks {
                let queue = queue(prefix, &lock);
                assert_eq!(slot(&lock), slot(&queue), "{lock} and {queue}");
                for key in [&lock, &queue] {
                    let theirs = cluster.int(&["CLUSTER", "KEYSLOT", key]);
                    assert_eq!(i64::from(slot(key)), theirs, "{key}");
                }
                expected.extend([lock, queue]);
            }
            assert_eq!(
                all_keys(&server),
                expected,
                "app {app:?}, prefix {prefix:?}"
            );

            // Those who wait are handed what is given back, and what they hold is found and listed.
            let mut kept = Vec::new();
            for ((lease, waiter), name) in held.into_iter().zip(&names) {
                assert!(lease.release().await.unwrap());
                let next = waiter.await.unwrap().expect("handed over");
                let found = clients[0].inspect(name).await.unwrap().unwrap();
                assert_eq!((&found.name, found.owner.as_str()), (name, next.owner()));
                kept.push(next);
            }
            let mut listed = BTreeSet::new();
            let mut locks = clients[0].locks("*").unwrap();
            while let Some(found) = locks.next().await {
                listed.insert(found.unwrap().name);
            }
            assert_eq!(listed, names);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_69_any_braces_do_under_the_documented_rule() {
    for server in Server::each(&[]) {
        for (prefix, patterns) in [
            ("", vec!["~lock||*", "~{lock||*", "&lock||*"]),
            ("{team}:", vec!["~{team}:*", "&{team}:*"]),
        ] {
            let rule = documented_rule();
            let commands = rule.iter().filter(|word| !word.contains("lock||"));
            let mut words = vec!["ACL", "SETUSER", "leaselock", "reset"];
            words.extend(commands.map(String::as_str));
            words.extend(&patterns);
            server.run(&words);
            let url = format!(
                "redis://leaselock:secret@127.0.0.1:{}?key_prefix={prefix}",
                server.port
            );
            let clients = [client_at(&url), client_at(&url)];
            for name in ["task:{}", "{", "}{", "a{b}c", "{}{x}", "plain"] {
                let lease = clients[0].acquire(name).await.expect(name);
                let waiter = wait_for(&clients[1], name);
                until("it waits", ms(5_000), async || {
                    clients[0].inspect(name).await.unwrap().unwrap().waiters == 1
                })
                .await;
                assert!(lease.release().await.unwrap());
                let next = waiter.await.unwrap().expect("handed over");
                assert!(next.release().await.unwrap());
            }
            // What the diagnosis says that a user needs is what it has.
            let Diagnosis::Server(facts) = clients[0].diagnose().await.unwrap() else {
                panic!("a server's");
            };
            let rights = facts.rights;
            assert_eq!(rights.missing, Vec::<String>::new(), "{}", rights.rule);
            assert!(patterns_of(&rights.rule) == patterns, "{}", rights.rule);
        }
    }
}

#[test]
fn field_bug_69_braces_of_a_prefix_are_a_hash_tag() {
    for prefix in ["{", "}", "{}", "team}:", "{}{a}", "a{b"] {
        let url = format!("redis://localhost?key_prefix={prefix}");
        let error = Client::new(&url).map(drop).expect_err(prefix);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("hash tag"), "{error}");
    }
}

fn patterns_of(rule: &str) -> Vec<&str> {
    let words = rule.split(' ');
    words.filter(|word| !word.starts_with('+')).collect()
}
