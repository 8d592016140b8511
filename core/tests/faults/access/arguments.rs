//! What a URL can say, said in arguments: the same, obeyed or refused, and not both unless they agree.

use leaselock::{Client, ClientBuilder, Credentials, Error, ErrorKind};

use crate::common::server::{binaries, certificates};
use crate::common::{Server, ms};

type Say = fn(ClientBuilder) -> ClientBuilder;

/// Refused when the client is made, for both kinds of it, in words that hold these.
fn refused(url: &str, say: Say, named: &[&str]) -> Error {
    let built = [
        say(Client::builder().url(url)).build().map(drop),
        say(Client::builder().url(url)).build_blocking().map(drop),
    ];
    let [error, same] = built.map(|built| built.expect_err(url));
    assert_eq!(error.message(), same.message());
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}: {error}");
    for name in named {
        assert!(error.message().contains(name), "{url}: {error}");
    }
    assert!(!error.message().contains("c4nary"), "{url}: {error}");
    error
}

fn given(builder: ClientBuilder) -> ClientBuilder {
    builder.credentials(|| async { std::io::Result::Ok(Credentials::new("u", "p")) })
}

#[test]
fn an_argument_that_differs_from_the_url_is_refused_and_one_that_agrees_is_not() {
    let certs = certificates();
    let (ca, cert, key) = ("ca.crt", "client.crt", "client.key").map_paths(&certs);
    for (option, say) in [
        ("tls_ca", (|b| b.tls_ca("/other.pem")) as Say),
        ("tls_cert", |b| b.tls_cert("/other.pem")),
        ("tls_key", |b| b.tls_key("/other.pem")),
        ("ssl_ca_certs", |b| b.tls_ca("/other.pem")),
    ] {
        let name = option.replace("ssl_ca_certs", "tls_ca");
        let url = format!("rediss://localhost:1?{option}={ca}");
        refused(&url, say, &[&name, "differ"]);
    }
    refused(
        "rediss://localhost:1?tls_insecure_skip_verify=true",
        |b| b.tls_insecure_skip_verify(false),
        &["tls_insecure_skip_verify", "differ"],
    );
    refused(
        "redis://localhost:1?key_prefix=a",
        |b| b.key_prefix("b"),
        &["key_prefix", "differ"],
    );
    refused(
        "redis://localhost:1?replicas=1",
        |b| b.replicas(2),
        &["replicas", "differ"],
    );
    Client::builder()
        .url("redis://localhost:1?replicas=1")
        .replicas(1)
        .build()
        .expect("they say the same");
    let url =
        format!("rediss://localhost:1?tls_ca={ca}&tls_cert={cert}&ssl_keyfile={key}&key_prefix=a");
    let builder = Client::builder().url(url).tls_ca(ca).tls_cert(cert);
    let built = builder.tls_key(key).key_prefix("a").build();
    std::fs::remove_dir_all(certs).unwrap();
    built.expect("they say the same");
}

trait MapPaths {
    fn map_paths(self, folder: &std::path::Path) -> (String, String, String);
}

impl MapPaths for (&str, &str, &str) {
    fn map_paths(self, folder: &std::path::Path) -> (String, String, String) {
        let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
        (path(self.0), path(self.1), path(self.2))
    }
}

/// Two spellings of one option in a URL: the second was taken, and the first was dropped.
#[test]
fn two_spellings_that_differ_are_refused() {
    for (one, other) in [
        ("tls_ca", "ssl_ca_certs"),
        ("tls_cert", "ssl_certfile"),
        ("tls_key", "ssl_keyfile"),
    ] {
        let url = format!("rediss://localhost:1?{one}=/a&{other}=/b");
        refused(&url, |b| b, &[one, other]);
    }
}

#[test]
fn what_a_store_without_a_server_or_tls_cannot_obey_is_refused() {
    for (option, say) in [
        ("tls_ca", (|b| b.tls_ca("/x")) as Say),
        ("tls_cert", |b| b.tls_cert("/x")),
        ("tls_key", |b| b.tls_key("/x")),
        ("tls_insecure_skip_verify", |b| {
            b.tls_insecure_skip_verify(true)
        }),
    ] {
        for url in ["file:/tmp/locks.db", "memory:access"] {
            refused(url, say, &[option, "server", &url[..4]]);
        }
        for url in ["redis://localhost:1", "unix:/tmp/socket"] {
            refused(url, say, &[option, "rediss://"]);
        }
    }
    for url in ["file:/tmp/locks.db", "memory:access"] {
        refused(url, |b| b.key_prefix("a"), &["key_prefix", "server"]);
        refused(url, |b| b.replicas(1), &["replicas", "server"]);
        refused(
            url,
            |b| b.address_map([("a:1", "b:2")]),
            &["address_map", "server"],
        );
        refused(url, given, &["credentials", "server"]);
        let quiet = Client::builder().url("memory:access");
        quiet
            .tls_insecure_skip_verify(false)
            .build()
            .expect("what is so anyway");
    }
    refused(
        "redis://:c4nary@localhost:1",
        given,
        &["credentials", "URL"],
    );
    refused("redis://c4nary@localhost:1", given, &["credentials", "URL"]);
    refused(
        "unix:/tmp/socket?pass=c4nary",
        given,
        &["credentials", "URL"],
    );
    refused("rediss://localhost:1", |b| b.tls_cert("/x"), &["tls_key"]);
    // The text of a file in place of its path, which may be a key.
    let pem: Say = |b| {
        b.tls_cert("/x")
            .tls_key("-----BEGIN PRIVATE KEY-----\nc4nary")
    };
    refused("rediss://localhost:1", pem, &["tls_key", "path"]);
    refused(
        "redis://localhost:1",
        |b| b.key_prefix("{"),
        &["key_prefix"],
    );
}

/// Where durations are milliseconds, the words are those of that language.
#[test]
fn an_error_spells_the_options_as_the_caller_does() {
    let builder = || Client::builder().unit(leaselock::Unit::Milliseconds);
    let error = builder().url("memory:a").key_prefix("a").build();
    let error = error.map(drop).expect_err("no server");
    assert!(error.message().contains("keyPrefix"), "{error}");
    let map = [("a:1", "b:2")];
    let error = builder()
        .url("redis://localhost:1")
        .address_map(map)
        .build();
    let error = error.map(drop).expect_err("nobody announces");
    assert!(error.message().contains("addressMap"), "{error}");
    let error = builder().url("redis://localhost:1").tls_ca("/x").build();
    let error = error.map(drop).expect_err("no TLS");
    assert!(error.message().contains("tls.ca"), "{error}");
}

/// Of what a language has numbers for, whole ones count replicas.
#[test]
fn a_number_of_replicas_is_whole_and_not_negative() {
    for (given, number) in [(0.0, 0), (3.0, 3), (4_294_967_295.0, u32::MAX)] {
        assert_eq!(
            leaselock::options::replicas(given).expect("a number"),
            number
        );
    }
    for wrong in [-1.0, 0.5, f64::NAN, f64::INFINITY, 4_294_967_296.0] {
        let error = leaselock::options::replicas(wrong).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("replicas"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_tls_and_a_prefix_are_obeyed_by_every_connection() {
    let certs = certificates();
    for binary in binaries() {
        if binary.name == "redis" {
            let asks = ["--tls-auth-clients", "yes"];
            let server = Server::start_tls_with(&binary, &certs, "good", &asks);
            let say = || {
                Client::builder()
                    .url(server.url())
                    .tls_ca(certs.join("ca.crt"))
                    .tls_cert(certs.join("client.crt"))
                    .tls_key(certs.join("client.key"))
            };
            let client = say().build().unwrap();
            let blocking = say().build_blocking().unwrap();
            for _ in 0..25 {
                let lease = client.acquire("res").await.unwrap();
                assert!(lease.release().await.unwrap());
                let blocking = blocking.clone();
                tokio::task::spawn_blocking(move || {
                    let lease = blocking.acquire("res").call().unwrap();
                    assert!(lease.release().unwrap());
                })
                .await
                .unwrap();
            }
            let loud = Server::start_tls(&binary, &certs, "stranger");
            let client = Client::builder().url(loud.url());
            let client = client.tls_insecure_skip_verify(true).build().unwrap();
            assert!(
                client
                    .acquire("res")
                    .await
                    .unwrap()
                    .release()
                    .await
                    .unwrap()
            );
        }
        let server = Server::start(&binary, &[]);
        let client = Client::builder().url(server.url()).key_prefix("team:");
        let client = client.command_timeout(ms(5_000)).build().unwrap();
        let lease = client.acquire("res").await.unwrap();
        assert!(server.exists("team:lock||res"));
        assert!(lease.release().await.unwrap());
    }
    std::fs::remove_dir_all(certs).unwrap();
}

/// The characters that end a password early, each named with what to write, and none of the password.
#[test]
fn a_password_that_is_not_encoded_is_explained() {
    for (password, encoded) in [
        ("c4nary/x", "%2F"),
        ("12/c4nary", "%2F"),
        ("c4nary#x", "%23"),
        ("12#c4nary", "%23"),
        ("c4nary?x", "%3F"),
        ("c4n@ry/c4nary", "%40"),
    ] {
        for scheme in ["redis", "rediss", "valkey"] {
            let url = format!("{scheme}://user:{password}@host:6379/0");
            refused(&url, |b| b, &[encoded]);
        }
    }
}
