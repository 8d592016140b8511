//! What the core costs by itself, for regressions: one pair of acquire and release on a free name, and a hand-over; on a
//! server, in a file and in memory.
//!
//! `cargo bench -p leaselock`. A `redis-server` of its own runs meanwhile; with `LEASELOCK_BENCH_URL`, that store alone is
//! measured.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use leaselock::{Client, blocking};
use tokio::runtime::Builder;

/// A server, ended with the benchmark.
struct Server {
    url: String,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed; or set LEASELOCK_BENCH_URL");
        let give_up_at = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < give_up_at, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            process,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn blocking_pair(c: &mut Criterion, store: &str, url: &str) {
    let client = blocking::Client::new(url).expect("a client");
    c.bench_function(&format!("{store}/pair/blocking"), |b| {
        b.iter(|| {
            let lease = client.acquire(black_box("pair")).call().expect("acquire");
            lease.release().expect("release")
        });
    });
}

fn async_pair(c: &mut Criterion, store: &str, url: &str) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = Client::new(url).expect("a client");
    c.bench_function(&format!("{store}/pair/async"), |b| {
        b.iter(|| {
            runtime.block_on(async {
                let lease = client.acquire(black_box("pair")).await.expect("acquire");
                lease.release().await.expect("release")
            })
        });
    });
}

/// 64 pairs at once, each on a name of its own.
fn concurrent_pairs(c: &mut Criterion, store: &str, url: &str) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = Client::new(url).expect("a client");
    let names: Vec<String> = (0..64).map(|at| format!("pair-{at}")).collect();
    let mut group = c.benchmark_group(format!("{store}/pairs"));
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 in flight", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let pair = |name: &str| {
                    let (client, name) = (client.clone(), name.to_owned());
                    tokio::spawn(async move {
                        let lease = client.acquire(name).await.expect("acquire");
                        lease.release().await.expect("release")
                    })
                };
                for pair in names.iter().map(|name| pair(name)).collect::<Vec<_>>() {
                    pair.await.expect("a pair");
                }
            });
        });
    });
    group.finish();
}

/// From one holder's release to the next one's lease, on two clients.
fn hand_over(c: &mut Criterion, store: &str, url: &str) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let clients = [Client::new(url), Client::new(url)].map(|client| client.expect("a client"));
    c.bench_function(&format!("{store}/hand-over"), |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                let mut held = clients[0].acquire("handed").await.expect("acquire");
                for time in 0..times {
                    let waiter = clients[usize::from(time % 2 == 0)].clone();
                    let waiting =
                        tokio::spawn(
                            async move { waiter.acquire("handed").await.expect("acquire") },
                        );
                    while clients[0]
                        .inspect("handed")
                        .await
                        .expect("inspect")
                        .is_none_or(|info| info.waiters == 0)
                    {}
                    let started = Instant::now();
                    held.release().await.expect("release");
                    held = waiting.await.expect("a waiter");
                    total += started.elapsed();
                }
                held.release().await.expect("release");
                total
            })
        });
    });
}

fn all(c: &mut Criterion, store: &str, url: &str) {
    blocking_pair(c, store, url);
    async_pair(c, store, url);
    concurrent_pairs(c, store, url);
    hand_over(c, store, url);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if let Ok(url) = std::env::var("LEASELOCK_BENCH_URL") {
        all(&mut criterion, "given", &url);
    } else {
        let server = Server::start();
        all(&mut criterion, "redis", &server.url);
        let folder = std::env::temp_dir().join(format!("leaselock-bench-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a directory");
        let file = format!("file:{}/locks.db", folder.display());
        all(&mut criterion, "file", &file);
        let _ = std::fs::remove_dir_all(&folder);
        all(&mut criterion, "memory", "memory:bench");
    }
    criterion.final_summary();
}
