//! No password in any error, debug text or reply to the user.

use leaselock::{Client, ErrorKind, blocking};

use crate::common::{Server, ms};

const CANARY: &str = "c4nary-pa55word";

fn clean(what: &str, text: &str) {
    assert!(!text.contains(CANARY), "{what}: {text}");
    assert!(!text.contains("c4nary"), "{what}: {text}");
}

/// Walks an error, its debug text and its sources.
fn clean_error(what: &str, error: &leaselock::Error) {
    clean(what, &error.to_string());
    clean(what, &format!("{error:?}"));
    clean(what, &format!("{error:#?}"));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        clean(what, &cause.to_string());
        clean(what, &format!("{cause:?}"));
        source = cause.source();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_in_no_error_and_no_debug_text() {
    for mut server in Server::each(&["--requirepass", "c4nary-pa55word"]) {
        let port = server.port;
        let right = format!("redis://:{CANARY}@127.0.0.1:{port}");
        let client = Client::builder()
            .url(&right)
            .command_timeout(ms(500))
            .build()
            .unwrap();
        clean("the client", &format!("{client:?}"));
        clean(
            "the builder",
            &format!("{:?}", Client::builder().url(&right)),
        );
        let lease = client.acquire("res").ttl(ms(60_000)).await.unwrap();
        clean("the lease", &format!("{lease:?}"));
        clean(
            "a time-out",
            &format!("{:?}", client.acquire("res").wait(ms(1)).await.map(drop)),
        );

        for wrong in [
            format!("redis://:{CANARY}x@127.0.0.1:{port}"),
            format!("redis://user:{CANARY}@127.0.0.1:{port}"),
            format!("rediss://:{CANARY}@127.0.0.1:{port}"),
            format!("redis://:{CANARY}@127.0.0.1:1"),
            format!("redis://:{CANARY}@no-such-host.invalid:{port}"),
        ] {
            let client = Client::builder()
                .url(&wrong)
                .command_timeout(ms(500))
                .build()
                .unwrap();
            let error = client
                .acquire("res")
                .wait(ms(0))
                .await
                .map(drop)
                .expect_err(&wrong);
            clean_error(&wrong, &error);
        }

        server.kill();
        let error = client
            .acquire("res")
            .await
            .map(drop)
            .expect_err("nobody is there");
        clean_error("unreachable", &error);
        let error = lease.release().await.expect_err("nobody is there");
        clean_error("unreachable", &error);
        let blocking = Client::builder().url(&right).command_timeout(ms(500));
        let error = tokio::task::spawn_blocking(move || {
            let client = blocking.build_blocking().unwrap();
            clean("the blocking client", &format!("{client:?}"));
            client
                .acquire("res")
                .call()
                .map(drop)
                .expect_err("nobody is there")
        });
        clean_error("unreachable, blocking", &error.await.unwrap());
    }
}

/// A server that does not know AUTH says what it does not know, with all its arguments.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_repeated_after_a_server_that_repeats_it() {
    for server in Server::each(&["--rename-command", "AUTH", ""]) {
        for login in [format!(":{CANARY}"), format!("user:{CANARY}")] {
            let url = format!("redis://{login}@127.0.0.1:{}", server.port);
            let client = Client::builder().url(&url).command_timeout(ms(500));
            let taken = client.build().unwrap().try_acquire("res").await;
            let error = taken.map(drop).expect_err("it is not let in");
            assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
            assert!(error.message().contains("unknown command"), "{error}");
            clean_error(&login, &error);
        }
    }
}

#[test]
fn a_url_that_is_refused_is_not_quoted_with_its_password() {
    for url in [
        format!("http://user:{CANARY}@host/"),
        format!("redis://user:{CANARY}@host:notaport"),
        format!("redis://user:{CANARY}@host/notadatabase"),
        format!("redis://user:{CANARY}@:6379:7/{CANARY}"),
        format!("redis://user:{CANARY}@[bad"),
        format!("redis+other://user:{CANARY}@host"),
        format!("{CANARY}@host"),
        format!("user:{CANARY}@host:6379"),
        format!(" redis://user:{CANARY}@host"),
        format!("redis:///?password={CANARY}"),
        format!("redis://user:%zz{CANARY}@host"),
        format!("redis://host?auth={CANARY}&x=y"),
        format!("unix:/no/such/socket?pass={CANARY}"),
    ] {
        for result in [
            Client::new(&url).map(drop),
            blocking::Client::new(&url).map(drop),
        ] {
            if let Err(error) = result {
                clean_error(&url, &error);
            }
        }
    }
}
