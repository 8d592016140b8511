//! The connection that an event loop drives, driven here by a loop that only waits a little.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::{Server, fresh, ms, until};
use leaselock::line::{Done, Line};
use leaselock::{AcquireOptions, Client, ErrorKind, Lease, Request, Unit};

fn request(name: &str, wait: Option<Duration>) -> Request {
    let options = AcquireOptions {
        wait,
        ttl: ms(2_000),
        ..AcquireOptions::default()
    };
    Request::new(name, options, Unit::Seconds).unwrap()
}

fn client(url: &str) -> Client {
    Client::builder()
        .url(url)
        .app_id(fresh())
        .command_timeout(ms(800))
        .build()
        .unwrap()
}

/// Drives the line until `count` operations have ended here or been handed on.
async fn drive(line: &mut Line, count: usize) -> HashMap<u64, Done> {
    let start = Instant::now();
    let mut all = HashMap::new();
    while all.len() < count {
        line.flush();
        all.extend(line.on_readable());
        assert!(start.elapsed() < ms(5_000), "{} of {count}", all.len());
        tokio::time::sleep(ms(1)).await;
    }
    all
}

async fn lease(done: Option<Done>) -> Lease {
    match done.expect("an end") {
        Done::Acquired(result) => result.unwrap().expect("acquired"),
        Done::Acquiring(later) => later.await.unwrap().expect("acquired"),
        Done::Released(_) | Done::Releasing(_) => panic!("not an acquire"),
    }
}

async fn released(done: Option<Done>) -> bool {
    match done.expect("an end") {
        Done::Released(result) => result.unwrap(),
        Done::Releasing(later) => later.await.unwrap(),
        Done::Acquired(_) | Done::Acquiring(_) => panic!("not a release"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_acquired_and_released_in_order() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut line = client.line().await.unwrap().expect("a line");
        let mut tokens = Vec::new();
        for round in 0..3 {
            for id in 0..64 {
                let now = line.acquire(id, request(&format!("n{id}"), None), false);
                assert!(now.unwrap().is_none());
            }
            let mut done = drive(&mut line, 64).await;
            let mut leases = Vec::new();
            for id in 0..64 {
                let lease = Arc::new(lease(done.remove(&id)).await);
                assert!(lease.held());
                tokens.push(lease.token());
                leases.push(lease);
            }
            for (id, lease) in leases.iter().enumerate() {
                assert!(line.release(100 + id as u64, lease).is_none());
            }
            let mut done = drive(&mut line, 64).await;
            for id in 100..164 {
                assert!(released(done.remove(&id)).await, "round {round}");
            }
            assert!(line.is_idle());
        }
        assert!(tokens.is_sorted(), "tokens grow in the order of asking");
        assert_eq!(server.int(&["DBSIZE"]), 1, "only the counter is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_name_is_waited_for_elsewhere() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut line = client.line().await.unwrap().expect("a line");
        let holder = client.acquire("res").await.unwrap();
        line.acquire(1, request("res", None), true).unwrap();
        line.acquire(2, request("res", Some(ms(3_000))), false)
            .unwrap();
        line.acquire(3, request("res", None), false).unwrap();
        line.acquire(4, request("res", Some(Duration::ZERO)), false)
            .unwrap();
        let mut done = drive(&mut line, 4).await;
        assert!(matches!(done.remove(&1), Some(Done::Acquired(Ok(None)))));
        let Some(Done::Acquired(Err(error))) = done.remove(&4) else {
            panic!("its wait is zero");
        };
        assert_eq!(error.kind(), ErrorKind::LockTimeout);
        assert!(line.is_idle());
        let mut last = holder;
        for id in [2, 3] {
            let waiter = waits(&client, done.remove(&id)).await;
            assert!(last.release().await.unwrap());
            let next = waiter.await.unwrap().unwrap().expect("acquired");
            assert!(next.token() > last.token());
            last = next;
        }
        assert_eq!(client.stats().waiting, 0);
        assert!(last.release().await.unwrap());
    }
}

/// Runs what goes on elsewhere until it is in the queue.
async fn waits(
    client: &Client,
    done: Option<Done>,
) -> tokio::task::JoinHandle<leaselock::Result<Option<Lease>>> {
    let Some(Done::Acquiring(later)) = done else {
        panic!("it goes on waiting");
    };
    let waiter = tokio::spawn(later);
    let queued = || async { client.inspect("res").await.unwrap().unwrap().waiters == 1 };
    until("it is in the queue", ms(3_000), queued).await;
    waiter
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_on_a_broken_line_goes_on_or_is_undone() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client(&proxy.url());
        let mut line = client.line().await.unwrap().expect("a line");
        let held = Arc::new(client.acquire("held").await.unwrap());

        // The replies are lost with the connection, after the commands were carried out.
        proxy.to_client().lose_next();
        line.acquire(1, request("res", None), true).unwrap();
        assert!(line.release(2, &held).is_none());
        let mut done = drive(&mut line, 2).await;
        assert!(line.is_broken());
        let taken = lease(done.remove(&1)).await;
        assert!(taken.held(), "the retry finds its own lock");
        assert!(released(done.remove(&2)).await, "its own release");

        // A line dropped with work under way undoes it.
        let mut line = client.line().await.unwrap().expect("a line");
        line.acquire(1, request("dropped", None), true).unwrap();
        line.flush();
        drop(line);
        drop(taken);
        tokio::time::sleep(ms(300)).await;
        client.settled().await;
        assert!(client.inspect("dropped").await.unwrap().is_none());
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_to_a_silent_server_ends_within_the_command_timeout() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut line = client.line().await.unwrap().expect("a line");
        server.pause();
        let start = Instant::now();
        line.acquire(1, request("res", None), true).unwrap();
        let mut done = drive(&mut line, 1).await;
        assert!(line.is_broken());
        assert!(start.elapsed() < ms(1_500), "{:?}", start.elapsed());
        let Some(Done::Acquiring(later)) = done.remove(&1) else {
            panic!("it is tried again elsewhere");
        };
        drop(later);
        server.resume();
        tokio::time::sleep(ms(1_500)).await;
        client.settled().await;
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_line_where_the_server_is_not() {
    let client = client("redis://127.0.0.1:1");
    assert!(client.line().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_wait_on_a_silent_line_is_given_up_and_undone() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut line = client.line().await.unwrap().expect("a line");
        server.pause();
        line.acquire(1, request("res", Some(ms(300))), false)
            .unwrap();
        line.flush();
        let due = line.gives_up_in().expect("a short wait");
        assert!(due <= ms(300), "{due:?}");
        tokio::time::sleep(due).await;
        let given_up = line.give_up();
        assert!(matches!(given_up.as_slice(), [(1, Done::Acquired(Err(_)))]));
        assert!(line.gives_up_in().is_none());
        server.resume();
        drop(drive(&mut line, 1).await);
        client.settled().await;
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_own_waiters_an_acquire_goes_to_the_queue_at_once() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut line = client.line().await.unwrap().expect("a line");
        let holder = client.acquire("res").await.unwrap();
        let waiting = client.clone();
        let first = tokio::spawn(async move { waiting.acquire("res").await });
        while client.inspect("res").await.unwrap().unwrap().waiters == 0 {
            tokio::time::sleep(ms(5)).await;
        }
        let Some(Done::Acquiring(second)) = line.acquire(1, request("res", None), false).unwrap()
        else {
            panic!("it goes to the queue");
        };
        let second = tokio::spawn(second);
        assert!(holder.release().await.unwrap());
        let first = first.await.unwrap().unwrap();
        assert!(first.release().await.unwrap());
        let second = second.await.unwrap().unwrap().expect("acquired");
        assert!(second.token() > first.token());
    }
}
