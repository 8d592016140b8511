//! What a URL says after `?`: obeyed or refused, never dropped.

mod prefix;
mod tls;

use leaselock::{Client, Error, ErrorKind, blocking};

use crate::client_at;
use crate::common::{Server, binaries, fresh};
use crate::network::{Caller, KINDS};

/// A word that no message may show.
const CANARY: &str = "c4nary";

/// Both kinds of client refuse it before anything is sent, naming `named`, and show no secret.
fn refused(url: &str, named: &[&str]) -> Error {
    let built = [
        Client::new(url).map(drop),
        blocking::Client::new(url).map(drop),
    ];
    let [error, same] = built.map(|built| built.expect_err(url));
    assert_eq!(error.message(), same.message());
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}: {error}");
    for name in named {
        assert!(error.message().contains(name), "{url}: {error}");
    }
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains(CANARY), "{url}: {shown}");
    }
    error
}

/// In which of the first four databases there are keys.
fn databases(server: &Server) -> Vec<usize> {
    let script = "local used = {} for db = 0, 3 do redis.call('SELECT', db) \
                  if redis.call('DBSIZE') > 0 then used[#used + 1] = db end end return used";
    redis::from_redis_value(server.run(&["EVAL", script, "0"])).expect("numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_database_after_the_question_mark_is_the_one_of_the_locks() {
    for server in Server::each(&[]) {
        for (more, database) in [
            ("?db=2", 2),
            ("/?db=2", 2),
            ("/2?db=2", 2),
            ("/3", 3),
            ("?db=0", 0),
        ] {
            server.run(&["FLUSHALL"]);
            let url = format!("{}{more}", server.url());
            for kind in KINDS {
                let client = Caller::new(kind, &url, crate::ms(5_000));
                let other = client_at(&format!("{}/{database}", server.url()));
                // Often enough for every connection that a client may have.
                for _ in 0..25 {
                    let name = fresh();
                    let lease = client.acquire(&name, crate::ms(20_000), None).await;
                    let lease = lease.unwrap();
                    assert!(other.try_acquire(&name).await.unwrap().is_none(), "{more}");
                    assert_eq!(databases(&server), [database], "{more}");
                    assert!(lease.release().await.unwrap());
                }
            }
        }
    }
}

#[test]
fn field_bug_43_two_databases_in_one_url_are_refused() {
    refused("redis://localhost/1?db=2", &["db"]);
    refused("redis://localhost/1?db=0", &["db"]);
    refused("rediss://localhost/1?db=2", &["db"]);
}

#[test]
fn field_bug_43_a_database_that_is_none_is_refused() {
    for value in ["x", "-1", "1.5", "", "99999999999999999999"] {
        refused(&format!("redis://localhost?db={value}"), &["db"]);
    }
}

#[test]
fn field_bug_43_an_unknown_option_is_refused_by_its_name() {
    let known = ["db", "tls_ca", "tls_cert", "tls_key", "key_prefix"];
    for scheme in ["redis", "rediss", "valkey", "valkeys"] {
        for option in [
            "foo", "password", "username", "DB", "tls-ca", "protocol", "timeout",
        ] {
            for login in ["", "user:c4nary@"] {
                let url = format!("{scheme}://{login}localhost:6379/0?{option}={CANARY}");
                let mut named = vec![option];
                named.extend(known);
                refused(&url, &named);
            }
        }
    }
    refused("redis://localhost?db=0&foo=1", &["foo"]);
    refused("redis://localhost?foo", &["foo"]);
    refused("unix:/tmp/socket?foo=1", &["foo"]);
}

#[test]
fn an_option_that_is_said_twice_is_refused() {
    for twice in ["db=1&db=2", "db=1&db=1", "key_prefix=a&db=1&key_prefix=b"] {
        refused(&format!("redis://localhost?{twice}"), &["twice"]);
    }
    refused(
        "rediss://localhost?tls_insecure_skip_verify=false&tls_insecure_skip_verify=true",
        &["tls_insecure_skip_verify", "twice"],
    );
}

#[test]
fn whom_to_trust_and_to_trust_anyone_are_not_said_together() {
    for url in [
        "rediss://localhost?tls_insecure_skip_verify=true&tls_ca=/no/such/file",
        "rediss://localhost?ssl_ca_certs=/no/such/file&tls_insecure_skip_verify=true",
    ] {
        refused(url, &["tls_ca", "tls_insecure_skip_verify"]);
    }
}

/// What follows a `?` in a password that was not encoded reads as an option, and is not shown.
#[test]
fn a_part_of_a_password_is_not_shown_as_an_option() {
    for url in [
        "redis://user:123?c4nary@host",
        "redis://user:123?c4nary-9@host/0",
        "redis://:pa?c4nary@host",
        "redis://user:123?C4NARY=c4nary@host",
        "redis://localhost/0?=c4nary",
    ] {
        let error = refused(url, &[]);
        assert!(!error.message().contains("C4NARY"), "{url}: {error}");
    }
    refused("redis://user:123?c4nary@host", &["%3F"]);
}

/// The spellings that other clients have for what cannot be had here, or is had anyway.
#[test]
fn field_bug_43_not_to_verify_is_asked_for_loudly_or_not_at_all() {
    for value in ["none", "optional"] {
        refused(
            &format!("rediss://localhost?ssl_cert_reqs={value}"),
            &["ssl_cert_reqs", "tls_insecure_skip_verify=true"],
        );
    }
    Client::new("rediss://localhost?ssl_cert_reqs=required").expect("what is so anyway");
    Client::new("rediss://localhost?tls_insecure_skip_verify=false").expect("what is so anyway");
    refused(
        "rediss://localhost?tls_insecure_skip_verify=perhaps",
        &["tls_insecure_skip_verify"],
    );
    // Nobody who writes it may believe that this one is encrypted.
    refused(
        "redis://localhost?tls_insecure_skip_verify=true",
        &["tls_insecure_skip_verify", "rediss://"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_the_options_of_a_unix_socket_go_on_to_work() {
    for binary in binaries() {
        let socket = std::env::temp_dir().join(format!("leaselock-{}.sock", fresh()));
        let path = socket.to_str().unwrap();
        let server = Server::start(&binary, &["--unixsocket", path]);
        server.run(&["ACL", "SETUSER", "amy", "on", ">p w", "~*", "&*", "+@all"]);
        for url in [
            format!("unix:{path}?db=2"),
            format!("redis+unix://{path}?db=2"),
            format!("unix:{path}?db=2&user=amy&pass=p%20w"),
        ] {
            server.run(&["FLUSHALL"]);
            let lease = client_at(&url).acquire("res").await.expect(&url);
            assert_eq!(databases(&server), [2], "{url}");
            assert!(lease.release().await.unwrap());
        }
        let wrong = client_at(&format!("unix:{path}?user=amy&pass={CANARY}"));
        let error = wrong
            .acquire("res")
            .await
            .map(drop)
            .expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
        let prefixed = client_at(&format!("unix:{path}?key_prefix=team:"));
        let lease = prefixed.acquire("res").await.unwrap();
        assert!(server.exists("team:lock||faults||res"));
        assert!(lease.release().await.unwrap());
        drop(server);
        let _ = std::fs::remove_file(socket);
    }
}
