//! Nothing leaks, however often locks are taken: no descriptor, no thread, no key, no memory that grows with use.
//!
//! In `make test` it is 20,000 cycles in each way to call, on a server and in a file; `FULL=1` makes 100,000.
#![cfg(target_os = "linux")] // counts in /proc

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leaselock::{Client, ErrorKind, blocking};

use crate::common::{Server, fresh, ms};

const THREADS: u64 = 8;
const TASKS: u64 = 64;
const WARM_UP: u64 = 5_000;
const MORE_KIB: u64 = 2_048;
/// What the program that is counted answers with: the test runner writes to the same output.
const MARK: &str = "» ";

static ALONE: Mutex<()> = Mutex::new(());

fn cycles() -> u64 {
    let full = std::env::var("FULL").is_ok_and(|full| !full.is_empty());
    if full { 100_000 } else { 20_000 }
}

#[test]
fn async_cycles_on_a_server_leak_nothing() {
    on_a_server("async");
}

#[test]
fn blocking_cycles_on_a_server_leak_nothing() {
    on_a_server("blocking");
}

#[test]
fn async_cycles_in_a_file_leak_nothing() {
    in_a_file("async");
}

#[test]
fn blocking_cycles_in_a_file_leak_nothing() {
    in_a_file("blocking");
}

fn on_a_server(kind: &str) {
    // What is counted is in the client, whatever the server is.
    let Some(server) = Server::each(&[]).next() else {
        return;
    };
    count(kind, &server.url());
    let keys: Vec<String> = redis::from_redis_value(server.run(&["KEYS", "*"])).expect("keys");
    assert_eq!(keys, ["lock||leaks||||fence"]);
    let began = Instant::now();
    while server.connections() > 0 {
        assert!(began.elapsed() < ms(3_000), "connections stay");
        std::thread::sleep(ms(10));
    }
}

/// A fresh folder, removed with everything in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn in_a_file(kind: &str) {
    let folder = Folder(std::env::temp_dir().join(format!("leaselock-leaks-{}", fresh())));
    std::fs::create_dir(&folder.0).expect("a folder");
    let file = folder.0.join("locks.db");
    count(kind, &format!("file:{}", file.display()));
    let files = std::fs::read_dir(&folder.0).expect("a folder").count();
    assert_eq!(files, 1, "files");
    let store = rusqlite::Connection::open(&file).expect("a database");
    for table in ["locks", "waiters", "holders"] {
        let left = format!("SELECT count(*) FROM {table}");
        let left: i64 = store
            .query_row(&left, [], |row| row.get(0))
            .expect("a count");
        assert_eq!(left, 0, "{table}");
    }
}

/// Has a program of its own make the cycles, and compares what it had before and after.
fn count(kind: &str, url: &str) {
    // They compute, which must not delay tests that wait: one at a time, behind others.
    let _alone = ALONE.lock();
    let program = Command::new("nice")
        .args(["-n", "10"])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "leaking", "--ignored", "--nocapture"])
        .env("LEASELOCK_TEST_URL", url)
        .env("LEASELOCK_TEST_KIND", kind)
        // What is free is given back, or it would count.
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_TRIM_THRESHOLD_", "0")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&program.stdout);
    assert!(
        program.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&program.stderr)
    );
    let told: Vec<[u64; 3]> = told
        .lines()
        .filter_map(|line| line.split_once(MARK))
        .map(|(_, numbers)| serde_json::from_str(numbers).expect("numbers"))
        .collect();
    let [before, after] = told[..] else {
        panic!("{told:?}");
    };
    println!(
        "{kind}, {} cycles: descriptors, threads and KiB {before:?}, then {after:?}",
        cycles()
    );
    assert!(after[0] <= before[0], "descriptors: {before:?} {after:?}");
    assert!(after[1] <= before[1], "threads: {before:?} {after:?}");
    assert!(after[2] < before[2] + MORE_KIB, "KiB: {before:?} {after:?}");
}

/// How many descriptors (`fd`) or threads (`task`) this process has.
fn entries(folder: &str) -> u64 {
    std::fs::read_dir(Path::new("/proc/self").join(folder)).map_or(0, |found| found.count() as u64)
}

/// Descriptors, threads and KiB of this process.
fn measured(before: Option<[u64; 3]>) -> [u64; 3] {
    // Threads, and connections that others took the place of, end in the background.
    let began = Instant::now();
    let is_more = || {
        let [descriptors, threads, _] = before.unwrap_or_default();
        entries("fd") > descriptors || entries("task") > threads
    };
    let limit = before.map_or(ms(300), |_| ms(3_000));
    while is_more() && began.elapsed() < limit {
        std::thread::sleep(ms(50));
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.and_then(|memory| memory.trim().strip_suffix(" kB"));
    let told = [
        entries("fd"),
        entries("task"),
        memory.and_then(|memory| memory.parse().ok()).expect("KiB"),
    ];
    println!("\n{MARK}{told:?}");
    told
}

/// Two names for a cycle, in any order; they are fewer than those who want them, so that some wait.
fn names(number: u64, crowd: u64) -> (String, String) {
    let many = crowd * 4 / 5;
    (
        format!("job-{}", number % many),
        format!("job-{}", (number * 7 + 3) % many),
    )
}

/// The program that is counted.
#[test]
#[ignore = "run by the other tests"]
fn leaking() {
    let told = |variable: &str| std::env::var(variable).expect("it is told");
    let builder = Client::builder()
        .url(told("LEASELOCK_TEST_URL"))
        .app_id("leaks");
    if told("LEASELOCK_TEST_KIND") == "blocking" {
        let client = builder.build_blocking().expect("a client");
        let mut before = None;
        for cycles in [WARM_UP, cycles()] {
            let numbers = AtomicU64::new(0);
            std::thread::scope(|threads| {
                for _ in 0..THREADS {
                    threads.spawn(|| call(&client, &numbers, cycles));
                }
            });
            before = Some(measured(before));
        }
        return client.close().expect("closed");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = builder.build().expect("a client");
        let mut before = None;
        for cycles in [WARM_UP, cycles()] {
            let numbers = AtomicU64::new(0);
            let all = (0..TASKS).map(|_| poll(&client, &numbers, cycles));
            futures_util::future::join_all(all).await;
            before = Some(measured(before));
        }
        client.close().await.expect("closed");
    });
}

/// Takes and gives back, of ten times once two names, once beside others, and once without the time to wait.
fn call(client: &blocking::Client, numbers: &AtomicU64, end: u64) {
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return;
        }
        let (one, two) = names(number, THREADS);
        let released = match number % 10 {
            0 if one != two => client
                .acquire_all([one, two])
                .call()
                .expect("acquired")
                .release(),
            1 => client
                .acquire(one)
                .shared()
                .call()
                .expect("acquired")
                .release(),
            2 => match client.acquire(one).wait(Duration::from_micros(100)).call() {
                Ok(lease) => lease.release(),
                Err(error) if error.kind() == ErrorKind::LockTimeout => continue,
                Err(error) => panic!("{error}"),
            },
            _ => client.acquire(one).call().expect("acquired").release(),
        };
        assert!(released.expect("an answer"));
    }
}

/// The same in a task; one that has not the time to wait is dropped.
async fn poll(client: &Client, numbers: &AtomicU64, end: u64) {
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return;
        }
        let (one, two) = names(number, TASKS);
        let released = match number % 10 {
            0 if one != two => {
                client
                    .acquire_all([one, two])
                    .await
                    .expect("acquired")
                    .release()
                    .await
            }
            1 => {
                client
                    .acquire(one)
                    .shared()
                    .await
                    .expect("acquired")
                    .release()
                    .await
            }
            2 => {
                let acquire = std::future::IntoFuture::into_future(client.acquire(one));
                match tokio::time::timeout(Duration::from_micros(100), acquire).await {
                    Ok(lease) => lease.expect("acquired").release().await,
                    Err(_) => continue,
                }
            }
            _ => client.acquire(one).await.expect("acquired").release().await,
        };
        assert!(released.expect("an answer"));
    }
}
