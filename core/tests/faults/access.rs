//! Users and passwords: what a denied command does, and the smallest rule that everything works under.

mod arguments;
mod certificates;
mod credentials;

use leaselock::{Client, ErrorKind};

use crate::common::{Server, ms};
use crate::{APP, client_at, keys, queued, sleep, timed, wait_for};

/// The rule that the documentation gives, word for word.
pub(crate) fn documented_rule() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SECURITY.md");
    let text = std::fs::read_to_string(path).expect("SECURITY.md");
    let rule = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER leaselock "))
        .expect("SECURITY.md gives the rule in one line: ACL SETUSER leaselock …");
    rule.split_whitespace()
        .map(|word| {
            if word.starts_with('>') {
                ">secret"
            } else {
                word
            }
            .to_owned()
        })
        .collect()
}

/// A user `leaselock` with the documented rule, then `more`.
pub(crate) fn user(server: &Server, more: &[&str]) -> String {
    let rule = documented_rule();
    let mut words = vec!["ACL", "SETUSER", "leaselock", "reset"];
    words.extend(rule.iter().map(String::as_str));
    words.extend(more);
    server.run(&words);
    format!("redis://leaselock:secret@127.0.0.1:{}", server.port)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_under_the_documented_rule_and_no_more() {
    for server in Server::each(&[]) {
        let url = user(&server, &[]);
        let (a, b) = (client_at(&url), client_at(&url));
        for name in ["res", "{tag}res"] {
            let first = a.acquire(name).ttl(ms(900)).label("w").await.unwrap();
            assert!(b.try_acquire(name).await.unwrap().is_none());
            let waiter = wait_for(&b, name);
            crate::until("a waiter", ms(2_000), async || {
                a.inspect(name).await.unwrap().unwrap().waiters == 1
            })
            .await;
            first.extend(Some(ms(1_200))).await.unwrap();
            sleep(1_500).await;
            first.check().unwrap();
            assert!(first.release().await.unwrap());
            let second = waiter.await.unwrap().unwrap();
            let mut locks = b.locks("*").unwrap();
            assert_eq!(locks.next().await.unwrap().unwrap().owner, second.owner());
            assert_eq!(
                a.release(name, second.owner()).await.unwrap().as_str(),
                "RELEASED"
            );
            let third = a.acquire(name).await.unwrap();
            assert_eq!(b.force_release(name).await.unwrap().as_str(), "RELEASED");
            assert!(!third.release().await.unwrap());
        }
        a.close().await.unwrap();
        b.close().await.unwrap();
        let log = format!("{:?}", server.run(&["ACL", "LOG"]));
        assert!(
            !log.contains("reason"),
            "a command was denied on the way: {log}"
        );
    }
}

/// Scripts do not roll back: whichever write is denied, no lock may be left.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_command_is_refused_at_once_and_leaves_no_lock() {
    for server in Server::each(&[]) {
        for denied in [
            "-incr", "-set", "-get", "-evalsha", "-time", "-multi", "-exec",
        ] {
            // On a fresh connection, which goes by script.
            let fresh = client_at(&user(&server, &[denied]));
            refused(&server, &fresh, denied).await;

            // On one that counted just now, which goes by MULTI.
            let warm = client_at(&user(&server, &[]));
            assert!(warm.acquire("warm").await.unwrap().release().await.unwrap());
            user(&server, &[denied]);
            refused(&server, &warm, denied).await;
        }
    }
}

/// The acquire either works without the denied command or is refused, whole and fast.
async fn refused(server: &Server, client: &Client, denied: &str) {
    let (taken, took) = timed(client.try_acquire("res").into_future()).await;
    assert!(took < ms(1_500), "{denied}: {took:?}");
    match taken {
        Ok(lease) => {
            let lease = lease.unwrap_or_else(|| panic!("{denied}: nobody else has it"));
            assert!(lease.token() > 1 << 49, "{denied}: {}", lease.token());
            user(server, &[]);
            assert!(lease.release().await.unwrap(), "{denied}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{denied}: {error}");
            let words = error.message();
            // What the server says of a command by itself, and of one in a script.
            assert!(
                words.contains("NOPERM") || words.contains("can't run this command"),
                "{denied}: {error}"
            );
        }
    }
    assert!(!server.exists(&keys("res").lock), "{denied} left a lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_channel_is_refused_before_queueing() {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        let lease = holder.acquire("res").await.unwrap();
        for denied in [&["resetchannels"][..], &["-subscribe"][..]] {
            let client = client_at(&user(&server, denied));
            let (taken, took) = timed(client.acquire("res").wait(ms(5_000)).into_future()).await;

            let error = taken.expect_err("it cannot be told of its turn");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
            assert!(error.message().contains("NOPERM"), "{error}");
            assert!(took < ms(1_500), "{took:?}");
            assert!(
                !server.exists(&keys("res").queue),
                "{denied:?} left a place behind"
            );

            // What needs no waiting works.
            let other = client.acquire("other").await.unwrap();
            assert!(other.release().await.unwrap());
        }
        assert!(lease.release().await.unwrap());
    }
}

/// PUBLISH is tried by pcall: without it a waiter is served all the same, only later.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_publish_delays_the_waiter_and_loses_nothing() {
    for server in Server::each(&[]) {
        let (holder, client) = (
            client_at(&user(&server, &["-publish"])),
            client_at(&server.url()),
        );
        let lease = holder.acquire("res").ttl(ms(1_500)).await.unwrap();
        let waiter = wait_for(&client, "res");
        queued(&server, "res", 1).await;

        assert!(lease.release().await.unwrap());

        let (next, took) = timed(waiter).await;
        let next = next.unwrap().expect("served");
        assert!(took < ms(5_000), "{took:?}");
        assert!(next.token() > lease.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outside_the_rule_are_refused() {
    for server in Server::each(&[]) {
        let url = user(&server, &["resetkeys", "~lock||elsewhere||*"]);
        let error = client_at(&url)
            .acquire("res")
            .await
            .expect_err("not its keys");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(!server.exists(&keys("res").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_at_once() {
    for server in Server::each(&["--requirepass", "right"]) {
        let at = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port);
        for login in ["", ":wrong@", "nobody:right@"] {
            let (taken, took) = timed(client_at(&at(login)).acquire("res").into_future()).await;
            let error = taken.expect_err("not let in");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{login:?}: {error}");
            assert!(took < ms(1_500), "{login:?}: {took:?}");
        }
        for login in [":right@", "default:right@"] {
            let lease = client_at(&at(login)).acquire("res").await.expect("let in");
            assert!(lease.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_its_own_is_a_lock_of_its_own() {
    for server in Server::each(&[]) {
        let (zero, three) = (
            client_at(&server.url()),
            client_at(&format!("{}/3", server.url())),
        );
        let lease = three.acquire("res").await.unwrap();
        assert!(zero.try_acquire("res").await.unwrap().is_some());
        let there: i64 = redis::from_redis_value(server.run(&[
            "EVAL",
            "redis.call('SELECT', 3) return redis.call('EXISTS', KEYS[1])",
            "1",
            &format!("lock||{APP}||res"),
        ]))
        .unwrap();
        assert_eq!(there, 1);
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_works_like_a_port() {
    for binary in crate::common::binaries() {
        let socket =
            std::env::temp_dir().join(format!("leaselock-{}.sock", crate::common::fresh()));
        let path = socket.to_str().unwrap();
        let server = Server::start(&binary, &["--unixsocket", path]);
        let (inside, outside) = (client_at(&format!("unix:{path}")), client_at(&server.url()));

        let lease = inside.acquire("res").ttl(ms(900)).await.unwrap();
        let waiter = wait_for(&inside, "res");
        queued(&server, "res", 1).await;
        assert!(outside.try_acquire("res").await.unwrap().is_none());
        sleep(1_200).await;
        assert!(lease.release().await.unwrap());
        assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
        drop(server);
        let _ = std::fs::remove_file(socket);
    }
}

/// A rule that was right for an earlier version: nothing that is only good to have throws anybody out.
#[tokio::test(flavor = "multi_thread")]
async fn many_wait_without_the_rights_by_which_the_dead_are_found() {
    for server in Server::each(&[]) {
        let url = user(&server, &["-zrandmember", "-pubsub"]);
        let (holder, client) = (client_at(&url), client_at(&url));
        let held = holder.acquire("res").await.unwrap();
        let mut waiters = Vec::new();
        for at in 1..=10 {
            waiters.push(wait_for(&client, "res"));
            queued(&server, "res", at).await;
        }
        // Until the first has looked again.
        sleep(4_500).await;
        let queue = keys("res").queue;
        assert_eq!(server.int(&["ZCARD", &queue]), 10, "all of them stay");
        assert!(held.release().await.unwrap());
        for waiter in waiters {
            let lease = waiter.await.unwrap().unwrap();
            assert!(lease.release().await.unwrap());
        }
    }
}
