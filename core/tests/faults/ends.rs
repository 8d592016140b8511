//! Programs of async Rust that end with a lease or a waiter in their hands: the lock is free at once, not when its TTL ends.
//!
//! Each is this test program again, told by its environment how to end and what to hold.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leaselock::{Client, blocking};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::common::server::certificates;
use crate::common::{Server, binaries, fresh, ms, until};
use crate::{APP, client_at, gone_within, queued};

/// Within this after its end nothing of a program is left.
const SOON: Duration = Duration::from_secs(1);
const NAME: &str = "end";

/// How a program ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// `#[tokio::main]` on one thread returns.
    MainOnOneThread,
    /// `#[tokio::main]` on several threads returns.
    Main,
    /// A `#[tokio::test]` returns.
    Test,
    /// A runtime is dropped after its `block_on`.
    BlockOn,
}

const ENDS: [End; 4] = [End::MainOnOneThread, End::Main, End::Test, End::BlockOn];

/// What it has when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A lease that goes out of scope last.
    Lease,
    /// A lease, and the client went before it.
    LeaseAfterClient,
    /// A lease that was handed over.
    LeaseAfterWait,
    /// A lease in a task that has not ended.
    LeaseInTask,
    /// An acquire whose first command was just sent.
    FirstCommand,
    /// A waiter that gives up.
    Waiter,
    /// A waiter in a task that has not ended.
    WaiterInTask,
}

const LEASES: [What; 4] = [
    What::Lease,
    What::LeaseAfterClient,
    What::LeaseInTask,
    What::FirstCommand,
];
const WAITERS: [What; 2] = [What::Waiter, What::WaiterInTask];

/// How many programs of each kind end.
fn ends(usual: usize) -> usize {
    if std::env::var("FULL").as_deref() == Ok("1") {
        100
    } else {
        usual
    }
}

async fn program() {
    let told = |name: &str| std::env::var(name).expect("it is told what to do");
    let client = client_at(&told("LEASELOCK_TEST_URL"));
    let long = ms(60_000);
    let what = told("LEASELOCK_TEST_HOLDS");
    let what = |it: What| what == format!("{it:?}");
    if what(What::Lease) || what(What::LeaseAfterWait) {
        let _lease = client.acquire(NAME).ttl(long).await.expect("a lease");
    } else if what(What::LeaseAfterClient) {
        let _lease = client.acquire(NAME).ttl(long).await.expect("a lease");
        drop(client);
    } else if what(What::LeaseInTask) {
        let (sender, taken) = oneshot::channel();
        tokio::spawn(async move {
            let _lease = client.acquire(NAME).ttl(long).await.expect("a lease");
            let _ = sender.send(());
            std::future::pending::<()>().await;
        });
        taken.await.expect("it is taken");
    } else if what(What::FirstCommand) {
        let warm = client.acquire("warm").await.expect("a lease");
        assert!(warm.release().await.expect("an answer"));
        let acquire = client.acquire(NAME).ttl(long).into_future();
        let _ = tokio::time::timeout(Duration::ZERO, acquire).await;
    } else if what(What::Waiter) {
        let wait = client.acquire(NAME).ttl(long).into_future();
        let gave_up = tokio::time::timeout(ms(150), wait).await;
        assert!(gave_up.is_err(), "somebody holds it");
    } else {
        tokio::spawn(client.acquire(NAME).ttl(long).into_future());
        tokio::time::sleep(ms(150)).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main_on_one_thread() {
    program().await;
}

#[tokio::main]
async fn main_on_many_threads() {
    program().await;
}

#[test]
#[ignore = "a program that other tests start"]
fn a_main_on_one_thread() {
    main_on_one_thread();
    std::process::exit(0);
}

#[test]
#[ignore = "a program that other tests start"]
fn a_main() {
    main_on_many_threads();
    std::process::exit(0);
}

#[tokio::test]
#[ignore = "a program that other tests start"]
async fn a_test() {
    program().await;
}

#[test]
#[ignore = "a program that other tests start"]
fn a_block_on() {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(program());
    drop(runtime);
    std::process::exit(0);
}

/// Runs a program to its end.
fn run(url: &str, end: End, what: What) {
    let test = match end {
        End::MainOnOneThread => "ends::a_main_on_one_thread",
        End::Main => "ends::a_main",
        End::Test => "ends::a_test",
        End::BlockOn => "ends::a_block_on",
    };
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("LEASELOCK_TEST_URL", url)
        .env("LEASELOCK_TEST_HOLDS", format!("{what:?}"))
        .stdout(Stdio::null());
    let status = command.status().expect("it starts");
    assert!(status.success(), "{end:?}, {what:?}: {status}");
}

async fn run_aside(url: &str, end: End, what: What) {
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || run(&url, end, what))
        .await
        .expect("it ends well");
}

/// Ends programs with a lease each; `is_free` waits until the lock is free, for [`SOON`] at most.
async fn end_with_leases(url: &str, count: usize, is_free: impl AsyncFn()) {
    for end in ENDS {
        for what in LEASES {
            for _ in 0..count.div_ceil(LEASES.len()) {
                run_aside(url, end, what).await;
                is_free().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_lease_dropped_last_is_given_back() {
    for server in Server::each(&[]) {
        end_with_leases(&server.url(), ends(20), async || {
            gone_within(&server, NAME, SOON).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_lease_dropped_last_is_given_back_over_tls() {
    let certs = certificates();
    // The Valkey of the tests does not speak TLS.
    for binary in binaries().iter().filter(|binary| binary.name == "redis") {
        let server = Server::start_tls(binary, &certs, "good");
        let url = format!("{}?tls_ca={}/ca.crt", server.url(), certs.display());
        let client = client_at(&url);
        end_with_leases(&url, ends(4), async || {
            until("it is free", SOON, async || {
                client.inspect(NAME).await.expect("an answer").is_none()
            })
            .await;
        })
        .await;
    }
    let _ = std::fs::remove_dir_all(certs);
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_lease_dropped_last_is_given_back_in_a_file() {
    let path = std::env::temp_dir().join(format!("leaselock-ends-{}.db", fresh()));
    let url = format!("file:{}", path.display());
    let client = client_at(&url);
    end_with_leases(&url, ends(8), async || {
        until("it is free", SOON, async || {
            client.inspect(NAME).await.expect("an answer").is_none()
        })
        .await;
    })
    .await;
    client.close().await.expect("closed");
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(format!("{}-inbox", path.display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_waiter_dropped_last_leaves_the_queue() {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        let held = holder.acquire(NAME).await.expect("a lease");
        for end in ENDS {
            for what in WAITERS {
                for _ in 0..ends(4).div_ceil(WAITERS.len()) {
                    run_aside(&server.url(), end, what).await;
                    until("nobody waits", SOON, async || {
                        holder.inspect(NAME).await.unwrap().unwrap().waiters == 0
                    })
                    .await;
                }
            }
        }
        assert!(held.release().await.expect("an answer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_lease_that_was_handed_over_is_given_back() {
    for server in Server::each(&[]) {
        for end in ENDS {
            let holder = client_at(&server.url());
            let held = holder.acquire(NAME).await.expect("a lease");
            let url = server.url();
            let program = tokio::spawn(async move {
                run_aside(&url, end, What::LeaseAfterWait).await;
            });
            queued(&server, NAME, 1).await;
            assert!(held.release().await.expect("an answer"));
            program.await.expect("it ends well");
            gone_within(&server, NAME, SOON).await;
        }
    }
}

/// A runtime ends and its client lives on, with leases taken on that runtime.
#[test]
fn field_bug_60_a_runtime_that_ends_before_its_client_keeps_no_lock() {
    for server in Server::each(&[]) {
        for url in [server.url(), format!("memory:ends-{}", fresh())] {
            for threads in [1, 4] {
                let judge = Runtime::new().expect("a runtime");
                let judging = {
                    let _inside = judge.enter();
                    client_at(&url)
                };
                for _ in 0..ends(10) {
                    let runtime = match threads {
                        1 => Builder::new_current_thread().enable_all().build(),
                        _ => Builder::new_multi_thread().enable_all().build(),
                    }
                    .expect("a runtime");
                    let client = client_at(&url);
                    let leases = runtime.block_on(async {
                        let mut leases = Vec::new();
                        for number in 0..5 {
                            let name = format!("{NAME}-{number}");
                            leases.push(client.acquire(&name).await.expect("a lease"));
                        }
                        let (sender, taken) = oneshot::channel();
                        let client = client.clone();
                        tokio::spawn(async move {
                            let _lease = client.acquire("in-task").await.expect("a lease");
                            let _ = sender.send(());
                            std::future::pending::<()>().await;
                        });
                        taken.await.expect("it is taken");
                        leases
                    });
                    drop(runtime);
                    drop(leases);
                    judge.block_on(until("all are free", SOON, async || {
                        let mut locks = judging.locks("*").expect("a pattern");
                        locks.next().await.is_none()
                    }));
                    drop(client);
                }
            }
        }
    }
}

/// A blocking client has a thread of its own for what is dropped, which ends with the program.
#[test]
#[ignore = "a program that other tests start"]
fn a_blocking_program() {
    let url = std::env::var("LEASELOCK_TEST_URL").expect("it is told where");
    let client = Client::builder().url(url).app_id(APP);
    let client: blocking::Client = client.build_blocking().expect("a client");
    let times: usize = std::env::var("LEASELOCK_TEST_HOLDS")
        .expect("it is told what")
        .parse()
        .expect("a number");
    for _ in 0..times {
        let lease = client.acquire("warm").call().expect("a lease");
        assert!(lease.release().expect("an answer"));
    }
    let lease = client.acquire(NAME).call().expect("a lease");
    drop(lease);
    std::process::exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_60_a_blocking_lease_dropped_last_is_given_back() {
    for server in Server::each(&[]) {
        for number in 0..ends(20) {
            let mut command = Command::new(std::env::current_exe().expect("a path"));
            command
                .args(["--exact", "ends::a_blocking_program", "--ignored"])
                .env("LEASELOCK_TEST_URL", server.url())
                .env("LEASELOCK_TEST_HOLDS", (number % 4 * 5).to_string())
                .stdout(Stdio::null());
            let start = Instant::now();
            assert!(command.status().expect("it starts").success());
            assert!(start.elapsed() < ms(30_000), "it ends");
            gone_within(&server, NAME, SOON).await;
        }
    }
}
