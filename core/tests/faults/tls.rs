//! TLS: a certificate that is not right is refused, and nothing is ever sent in plain text instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use leaselock::ErrorKind;
use tokio::io::AsyncReadExt;

use crate::common::server::{Binary, certificates};
use crate::common::{Server, binaries, ms};
use crate::{client_with, timed};

/// The servers that speak TLS; the Valkey of the tests does not.
fn speaking_tls() -> Vec<Binary> {
    binaries()
        .into_iter()
        .filter(|binary| binary.name == "redis")
        .collect()
}

/// What a client in a process of its own, which trusts one authority, is to find.
#[derive(Clone, Copy)]
enum Child {
    Served,
    Refused,
}

/// The authority can only be named in the environment, so the test runs itself again in a process of its own.
fn trusting(authority: &Path, child: Child, url: &str) {
    let child = match child {
        Child::Served => "served",
        Child::Refused => "refused",
    };
    // On Linux the program itself, also where a build has replaced its file meanwhile.
    let this = if cfg!(target_os = "linux") {
        "/proc/self/exe".into()
    } else {
        std::env::current_exe().unwrap()
    };
    let done = Command::new(this)
        .args([
            "--exact",
            "tls::every_certificate_but_the_right_one_is_refused",
            "--nocapture",
        ])
        .env("SSL_CERT_FILE", authority)
        .env(CHILD, format!("{child} {url}"))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{child} at {url}:\n{output}"
    );
}

const CHILD: &str = "LEASELOCK_TLS_CHILD";

struct Certificates(PathBuf);

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_certificate_but_the_right_one_is_refused() {
    if let Ok(child) = std::env::var(CHILD) {
        let (child, url) = child.split_once(' ').unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return match child {
            "served" => runtime.block_on(served(url)),
            _ => runtime.block_on(refused(url)),
        };
    }
    let certs = Certificates(certificates());
    for binary in speaking_tls() {
        let authority = certs.0.join("ca.crt");
        let good = Server::start_tls(&binary, &certs.0, "good");
        trusting(&authority, Child::Served, &good.url());
        let by_address = good.url().replace("localhost", "127.0.0.1");
        trusting(&authority, Child::Served, &by_address);
        for cert in ["expired", "wronghost", "stranger"] {
            let bad = Server::start_tls(&binary, &certs.0, cert);
            trusting(&authority, Child::Refused, &bad.url());
        }
        // The right certificate, for somebody who trusts another authority.
        let other = certs.0.join("strangers-ca.crt");
        trusting(&other, Child::Refused, &good.url());
    }
}

async fn served(url: &str) {
    let (a, b) = (client_with(url, ms(5_000)), client_with(url, ms(5_000)));
    let lease = a.acquire("res").ttl(ms(900)).await.unwrap();
    let waiter = crate::wait_for(&b, "res");
    crate::until("a waiter", ms(2_000), async || {
        a.inspect("res").await.unwrap().unwrap().waiters == 1
    })
    .await;
    crate::sleep(1_200).await;
    assert!(lease.release().await.unwrap());
    assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || {
        let client = leaselock::blocking::Client::new(&url).unwrap();
        for _ in 0..3 {
            assert!(client.acquire("res").call().unwrap().release().unwrap());
        }
    })
    .await
    .unwrap();
}

async fn refused(url: &str) {
    let client = client_with(url, ms(2_000));
    let (taken, took) = timed(client.acquire("res").wait(ms(0)).into_future()).await;
    let error = taken.expect_err("this certificate must not do");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
        ),
        "{error:?}"
    );
    let text = error.message().to_lowercase();
    assert!(
        text.contains("certificate") || text.contains("tls"),
        "says why: {error}"
    );
    assert!(took < ms(3_000), "{took:?}");
}

/// With nothing said, a private authority is not trusted.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused_by_default() {
    let certs = Certificates(certificates());
    for binary in speaking_tls() {
        let server = Server::start_tls(&binary, &certs.0, "good");
        for scheme in ["rediss", "valkeys"] {
            let url = server.url().replace("rediss", scheme);
            let error = client_with(&url, ms(2_000))
                .acquire("res")
                .wait(ms(0))
                .await
                .map(drop)
                .expect_err("nobody vouches for it");
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
                ),
                "{error:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_to_a_server_that_speaks_tls_is_asked_whether_it_meant_that() {
    let certs = Certificates(certificates());
    for binary in speaking_tls() {
        let server = Server::start_tls(&binary, &certs.0, "good");
        let url = server.url().replace("rediss", "redis");
        let error = client_with(&url, ms(1_500))
            .acquire("res")
            .wait(ms(0))
            .await;
        let error = error.map(drop).expect_err("it speaks TLS only");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(
            error.to_string().contains("begin its URL with rediss://"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_fall_back_to_plain_text() {
    for server in Server::each(&[]) {
        let url = format!("rediss://:pa55word@localhost:{}", server.port);
        let error = client_with(&url, ms(1_500))
            .acquire("res")
            .wait(ms(0))
            .await
            .map(drop)
            .expect_err("it speaks plain text only");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(
            error.to_string().contains("begin its URL with redis://"),
            "{error}"
        );
        assert_eq!(server.int(&["DBSIZE"]), 0);
    }

    // What a client with a TLS URL sends first of all, to whoever listens.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!(
        "rediss://:pa55word@localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(Ok((mut stream, _))) = tokio::time::timeout(ms(2_500), listener.accept()).await
        {
            let mut first = vec![0; 4096];
            let length = stream.read(&mut first).await.unwrap_or(0);
            first.truncate(length);
            heard.push(first);
        }
        heard
    });
    drop(
        client_with(&url, ms(1_000))
            .acquire("res")
            .wait(ms(0))
            .await,
    );
    let heard = listening.await.unwrap();
    assert!(!heard.is_empty());
    for first in heard.iter().filter(|first| !first.is_empty()) {
        assert_eq!(
            first[0], 0x16,
            "a TLS handshake and nothing else: {first:?}"
        );
        assert!(!first.windows(8).any(|part| part == b"pa55word"));
    }
}
