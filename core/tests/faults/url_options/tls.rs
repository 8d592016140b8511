//! TLS by the URL: whom to trust, who one is, and not to look, said out loud.

use std::path::{Path, PathBuf};

use leaselock::{Client, Error, ErrorKind};

use super::refused;
use crate::common::server::{Binary, certificates};
use crate::common::{Server, binaries, ms};
use crate::network::{Caller, KINDS};
use crate::{client_with, wait_for};

/// The servers that speak TLS; the Valkey of the tests does not.
fn speaking_tls() -> Vec<Binary> {
    binaries()
        .into_iter()
        .filter(|binary| binary.name == "redis")
        .collect()
}

/// The certificates, in a folder whose name has to be encoded.
struct Certificates(PathBuf);

impl Certificates {
    fn make() -> Self {
        let made = certificates();
        let named = made.with_extension("with a space & more");
        std::fs::rename(made, &named).unwrap();
        Self(named)
    }

    fn path(&self, file: &str) -> String {
        let path = self.0.join(file);
        let path = path.to_str().unwrap();
        path.replace(' ', "%20").replace('&', "%26")
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All that a client does works there.
async fn served(url: &str) {
    for kind in KINDS {
        let client = Caller::new(kind, url, ms(5_000));
        for _ in 0..25 {
            let lease = client.acquire("res", ms(20_000), None).await;
            let lease = lease.unwrap_or_else(|error| panic!("{url}: {error}"));
            assert!(lease.release().await.unwrap(), "{url}");
        }
    }
    let (a, b) = (client_with(url, ms(5_000)), client_with(url, ms(5_000)));
    let lease = a.acquire("res").ttl(ms(900)).await.unwrap();
    let waiter = wait_for(&b, "res");
    crate::until("a waiter", ms(2_000), async || {
        a.inspect("res").await.unwrap().unwrap().waiters == 1
    })
    .await;
    crate::sleep(1_200).await;
    assert!(lease.release().await.unwrap());
    assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
}

/// Nobody gets in, and the error says that it is for TLS.
async fn kept_out(url: &str) {
    for kind in KINDS {
        let client = Caller::new(kind, url, ms(1_500));
        let taken = client.try_acquire("res").await;
        let error = taken.map(drop).expect_err(url);
        assert!(
            matches!(
                error.kind(),
                ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
            ),
            "{url}: {error}"
        );
        let text = error.message().to_lowercase();
        assert!(
            text.contains("certificate") || text.contains("tls"),
            "{url}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_an_authority_of_ones_own_is_named_in_the_url() {
    let certs = Certificates::make();
    for binary in speaking_tls() {
        let server = Server::start_tls(&binary, &certs.0, "good");
        for option in ["tls_ca", "ssl_ca_certs"] {
            let by = |authority| format!("{}?{option}={}", server.url(), certs.path(authority));
            served(&by("ca.crt")).await;
            kept_out(&by("strangers-ca.crt")).await;
        }
        for cert in ["expired", "wronghost", "stranger"] {
            let server = Server::start_tls(&binary, &certs.0, cert);
            kept_out(&format!("{}?tls_ca={}", server.url(), certs.path("ca.crt"))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_clients_certificate_is_named_in_the_url() {
    let certs = Certificates::make();
    for binary in speaking_tls() {
        let asks = ["--tls-auth-clients", "yes"];
        let server = Server::start_tls_with(&binary, &certs.0, "good", &asks);
        let trusting = format!("{}?tls_ca={}", server.url(), certs.path("ca.crt"));
        for (cert, key) in [("tls_cert", "tls_key"), ("ssl_certfile", "ssl_keyfile")] {
            let (cert, key) = (
                format!("{cert}={}", certs.path("client.crt")),
                format!("{key}={}", certs.path("client.key")),
            );
            served(&format!("{trusting}&{cert}&{key}")).await;
            refused(&format!("{trusting}&{cert}"), &["tls_key"]);
            refused(&format!("{trusting}&{key}"), &["tls_cert"]);
        }
        let client = client_with(&trusting, ms(1_500));
        let error = client.try_acquire("res").await.map(drop);
        let error = error.expect_err("it does not say who it is");
        assert!(
            matches!(
                error.kind(),
                ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
            ),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_not_to_verify_takes_any_certificate() {
    let certs = Certificates::make();
    for binary in speaking_tls() {
        for cert in ["good", "stranger", "expired", "wronghost"] {
            let server = Server::start_tls(&binary, &certs.0, cert);
            served(&format!("{}?tls_insecure_skip_verify=true", server.url())).await;
            kept_out(&format!("{}?tls_insecure_skip_verify=false", server.url())).await;
        }
    }
}

#[test]
fn field_bug_43_tls_options_without_tls_are_refused() {
    for option in [
        "tls_ca",
        "tls_cert",
        "tls_key",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
    ] {
        for scheme in [
            "redis://localhost",
            "valkey://localhost",
            "unix:/tmp/socket",
        ] {
            refused(&format!("{scheme}?{option}=/tmp/x.pem"), &[option]);
        }
    }
}

/// When the client is made, or at its first use.
async fn made_or_used(url: &str) -> Error {
    match Client::new(url) {
        Err(error) => error,
        Ok(client) => client.try_acquire("res").await.map(drop).expect_err(url),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_43_a_file_that_is_not_there_or_holds_nothing_is_named() {
    let certs = Certificates::make();
    let named = |error: &Error, path: &Path| {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    };
    let missing = certs.0.join("missing.pem");
    let nothing = certs.0.join("nothing.pem");
    std::fs::write(&nothing, "no certificate\n").unwrap();
    let (cert, key) = (certs.path("client.crt"), certs.path("client.key"));
    for path in [missing, nothing] {
        let file = certs.path(path.file_name().unwrap().to_str().unwrap());
        for options in [
            format!("tls_ca={file}"),
            format!("tls_cert={file}&tls_key={key}"),
            format!("tls_cert={cert}&tls_key={file}"),
        ] {
            let error = made_or_used(&format!("rediss://localhost:1?{options}")).await;
            named(&error, &path);
        }
    }
}
