//! A function of credentials: asked for each new connection, in time or not, and a password that changes under held leases.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use leaselock::{Client, ClientBuilder, Credentials, ErrorKind, blocking};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::user;
use crate::common::{Server, ms, until};
use crate::{APP, sleep, timed};

/// A password that can be changed, and how often it was asked for.
#[derive(Clone)]
struct Vault {
    password: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Vault {
    fn new(password: &str) -> Self {
        Self {
            password: Arc::new(Mutex::new(password.to_owned())),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn client(&self, url: &str) -> ClientBuilder {
        let vault = self.clone();
        let builder = Client::builder().url(url).app_id(APP);
        builder.command_timeout(ms(5_000)).credentials(move || {
            vault.asked.fetch_add(1, SeqCst);
            let password = vault.password.lock().unwrap().clone();
            async move { std::io::Result::Ok(Credentials::new("leaselock", password)) }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_asks_for_its_log_in() {
    for server in Server::each(&[]) {
        user(&server, &[]);
        server.run(&[
            "ACL",
            "SETUSER",
            "default",
            "-@all",
            "+acl",
            "+client|list",
            "+eval",
        ]);
        let vault = Vault::new("secret");
        let client = vault.client(&server.url()).build().unwrap();
        let lease = client.acquire("res").await.unwrap();
        assert_eq!(vault.asked(), 1, "the shared connection");
        assert!(lease.release().await.unwrap());

        let client = vault.client(&server.url()).build_blocking().unwrap();
        tokio::task::spawn_blocking(move || many(&client))
            .await
            .unwrap();
        until("one for callers who block", ms(5_000), async || {
            vault.asked() >= 3
        })
        .await;
        assert!(vault.asked() < 10, "not for each call: {}", vault.asked());
    }
}

fn many(client: &blocking::Client) {
    for _ in 0..25 {
        assert!(client.acquire("res").call().unwrap().release().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_costs_no_lease() {
    for server in Server::each(&[]) {
        user(&server, &[]);
        let vault = Vault::new("secret");
        let client = vault.client(&server.url()).build().unwrap();
        let mut leases = Vec::new();
        for n in 0..100 {
            let taken = client.acquire(format!("held-{n}")).ttl(ms(6_000)).await;
            leases.push(taken.unwrap());
        }
        let waiting = crate::wait_for(&client, "held-0");
        crate::queued(&server, "held-0", 1).await;
        for round in 0..3 {
            let asked = vault.asked();
            let new = format!("secret-{round}");
            server.run(&["ACL", "SETUSER", "leaselock", &format!(">{new}")]);
            vault.password.lock().unwrap().clone_from(&new);
            server.run(&[
                "ACL",
                "SETUSER",
                "leaselock",
                "resetpass",
                &format!(">{new}"),
            ]);
            server.run(&["CLIENT", "KILL", "USER", "leaselock"]);
            let lease = client
                .acquire(format!("new-{round}"))
                .wait(ms(10_000))
                .await;
            assert!(lease.unwrap().release().await.unwrap());
            assert!(vault.asked() > asked);
            sleep(2_500).await;
        }
        for lease in &leases {
            lease.check().unwrap();
            assert_eq!(lease.state(), leaselock::LeaseState::Held);
        }
        for lease in leases {
            assert!(lease.release().await.unwrap());
        }
        assert!(waiting.await.unwrap().unwrap().release().await.unwrap());
        assert_eq!(client.stats().lost, 0);
    }
}

/// Its own words may hold a secret, and stay where only who looks for them finds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fails_is_the_cause_and_no_more_is_told() {
    for server in Server::each(&[]) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let builder = Client::builder().url(server.url()).command_timeout(ms(700));
        let client = builder.credentials(move || {
            count.fetch_add(1, SeqCst);
            async { Err::<Credentials, _>(std::io::Error::other("no token: c4nary")) }
        });
        let error = client.build().unwrap().acquire("res").await.map(drop);
        let error = error.expect_err("no way in");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(error.message().contains("credentials"), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("c4nary"),
            "{error:?}"
        );
        assert_eq!(error.source().unwrap().to_string(), "no token: c4nary");
        assert!(
            asked.load(SeqCst) > 1,
            "it is asked again until the time-out"
        );
        assert_eq!(
            server.connections(),
            0,
            "and without credentials nobody connects"
        );
    }
}

/// A function that hangs has a limit, which grows; where it comes in time the second time, that serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_hangs_is_given_up_and_asked_again() {
    for server in Server::each(&[]) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let builder = Client::builder().url(server.url());
        let client = builder.credentials(move || {
            let first = count.fetch_add(1, SeqCst) == 0;
            async move {
                if first {
                    std::future::pending::<()>().await;
                }
                // This user needs no password here, and takes any.
                std::io::Result::Ok(Credentials::new("default", "any"))
            }
        });
        let client = client.command_timeout(ms(20_000)).build().unwrap();
        let lease = client.acquire("res").wait(ms(15_000)).await.unwrap();
        assert_eq!(asked.load(SeqCst), 2);
        assert!(lease.release().await.unwrap());

        let builder = Client::builder().url(server.url()).command_timeout(ms(700));
        let client = builder.credentials(|| async {
            std::future::pending::<()>().await;
            std::io::Result::Ok(Credentials::new("", ""))
        });
        let client = client.build().unwrap();
        let (taken, took) = timed(client.acquire("res").into_future()).await;
        let error = taken.map(drop).expect_err("it never comes");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(error.message().contains("credentials"), "{error}");
        assert!(took < ms(7_000), "{took:?}");
        // Closed while it hangs.
        let waiting = crate::wait_for(&client, "other");
        sleep(100).await;
        // Whether there was anything to give back is nothing that it could find out.
        let (_, took) = timed(client.close()).await;
        assert!(took < ms(7_000), "{took:?}");
        assert!(waiting.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_without_being_shown() {
    for server in Server::each(&[]) {
        user(&server, &[]);
        let client = Vault::new("c4nary").client(&server.url()).build().unwrap();
        let (taken, took) = timed(client.acquire("res").into_future()).await;
        let error = taken.map(drop).expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(
            error.message().contains("the function of credentials"),
            "{error}"
        );
        assert!(
            !format!("{error:?} {client:?}").contains("c4nary"),
            "{error:?}"
        );
        assert!(took < ms(3_000), "{took:?}");
    }
}

/// What stands before a server may end a log-in and keep the connection: the next one logs in anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_logged_in_any_more_is_followed_by_another() {
    for server in Server::each(&[]) {
        user(&server, &[]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let port = server.port;
        tokio::spawn(async move {
            let (first, _) = listener.accept().await.unwrap();
            tokio::spawn(forgetting(first));
            while let Ok((mut here, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
        let vault = Vault::new("secret");
        let client = vault.client(&url).build().unwrap();
        let lease = client.acquire("res").await.unwrap();
        assert_eq!(vault.asked(), 2);
        assert!(lease.release().await.unwrap());
    }
}

/// A server that lets in, and then knows nothing of it.
async fn forgetting(mut stream: TcpStream) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let mut replies = String::new();
        for command in String::from_utf8_lossy(&buffer[..length])
            .split('*')
            .skip(1)
        {
            replies += if command.contains("AUTH") {
                "+OK\r\n"
            } else if command.contains("HELLO") {
                "%1\r\n$5\r\nproto\r\n:3\r\n"
            } else {
                "-NOAUTH Authentication required.\r\n"
            };
        }
        if stream.write_all(replies.as_bytes()).await.is_err() {
            return;
        }
    }
}
