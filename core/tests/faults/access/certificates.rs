//! What is wrong with TLS is said at once and in words, with what to do.

use leaselock::{Client, ErrorKind};

use crate::common::server::{binaries, certificates};
use crate::common::{Server, ms};
use crate::timed;

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_tls_says_what_to_do() {
    let certs = certificates();
    let file = |name: &str| certs.join(name);
    for binary in binaries() {
        if binary.name != "redis" {
            continue; // The Valkey of the tests speaks no TLS.
        }
        for (cert, ca, words) in [
            ("stranger", "ca.crt", ["UnknownIssuer", "tls_ca"]),
            ("expired", "ca.crt", ["expired", "renew"]),
            ("wronghost", "ca.crt", ["elsewhere.example", "host name"]),
            (
                "selfsigned",
                "selfsigned.crt",
                ["subjectAltName", "openssl"],
            ),
            ("client", "ca.crt", ["serverAuth", "no server"]),
        ] {
            let server = Server::start_tls(&binary, &certs, cert);
            let builder = Client::builder().url(server.url()).tls_ca(file(ca));
            said(builder, &words).await;
        }
        for version in ["TLSv1.3", "TLSv1.2"] {
            let asks = ["--tls-auth-clients", "yes", "--tls-protocols", version];
            let server = Server::start_tls_with(&binary, &certs, "good", &asks);
            let trusting = || Client::builder().url(server.url()).tls_ca(file("ca.crt"));
            // Often, since the server closes as soon as it has said so.
            for _ in 0..20 {
                let words = ["client's certificate", "tls_cert"];
                if version == "TLSv1.3" {
                    said(trusting(), &words).await;
                } else {
                    let taken = trusting().command_timeout(ms(500)).build().unwrap();
                    let error = taken.try_acquire("res").await.map(drop);
                    let error = error.expect_err("it does not say who it is");
                    assert!(
                        words.iter().all(|word| error.message().contains(word)),
                        "{error}"
                    );
                }
            }
            let strange = trusting().tls_cert(file("strange-client.crt"));
            said(
                strange.tls_key(file("strange-client.key")),
                &["tls_cert", "CA"],
            )
            .await;
        }
    }
    std::fs::remove_dir_all(certs).unwrap();
}

/// It is refused at once, not retried until a time-out, in words that hold these.
async fn said(builder: leaselock::ClientBuilder, words: &[&str]) {
    let client = builder.command_timeout(ms(20_000)).build().unwrap();
    let (taken, took) = timed(client.acquire("res").into_future()).await;
    let error = taken.map(drop).expect_err("it must not do");
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{word}: {error}");
    }
    assert!(took < ms(10_000), "{took:?}: {error}");
}
