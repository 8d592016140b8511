//! The fencing token through every loss of data: whatever the server forgets, a later lease has the larger token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use leaselock::{Client, blocking};

use crate::common::{Server, ms};
use crate::{APP, client_at, client_with, keys, sleep};

const LASTS: Duration = ms(5_000);

/// The largest token anybody has had, and how often somebody had one.
#[derive(Default)]
struct Seen {
    largest: AtomicU64,
    times: AtomicUsize,
}

impl Seen {
    /// A token of an acquire that began when `before` was the largest.
    fn note(&self, before: u64, token: u64) {
        assert!(token > before, "{token} after {before}");
        assert!(token < 1 << 53);
        self.largest.fetch_max(token, SeqCst);
        self.times.fetch_add(1, SeqCst);
    }

    fn before(&self) -> u64 {
        self.largest.load(SeqCst)
    }
}

/// `FLUSHALL`, a lost counter, a forced release and a server restarted empty, again and again, under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_grow_through_every_loss_of_data() {
    for mut server in Server::each(&[]) {
        let seen = Arc::new(Seen::default());
        let end = Instant::now() + LASTS;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (client, seen) = (client_with(&server.url(), ms(1_000)), seen.clone());
            tasks.spawn(take_again_and_again(client, seen, end));
        }
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let builder = Client::builder().url(server.url()).app_id(APP);
                let client = builder.command_timeout(ms(1_000)).build_blocking().unwrap();
                let seen = seen.clone();
                std::thread::spawn(move || take_in_a_thread(&client, &seen, end))
            })
            .collect();

        let operator = client_at(&server.url());
        let names = keys("res");
        let mut round = 0;
        while Instant::now() < end {
            sleep(40 + round * 37 % 120).await;
            round += 1;
            match round % 8 {
                0 => {
                    server.kill();
                    server.start_again();
                }
                1 | 4 => drop(server.run(&["FLUSHALL"])),
                2 => drop(server.run(&["DEL", &names.fence])),
                3 => drop(operator.force_release("res").await),
                5 => drop(server.run(&["DEL", &names.lock, &names.queue])),
                6 => drop(server.run(&["SET", &names.fence, "17"])),
                _ => drop(server.run(&["CLIENT", "KILL", "TYPE", "normal"])),
            }
        }
        while let Some(task) = tasks.join_next().await {
            task.expect("every token grew");
        }
        for thread in threads {
            thread.join().expect("every token grew");
        }
        let times = seen.times.load(SeqCst);
        eprintln!("{times} leases on {}", server.name);
        assert!(times > 200, "{times}");
    }
}

async fn take_again_and_again(client: Client, seen: Arc<Seen>, end: Instant) {
    while Instant::now() < end {
        let before = seen.before();
        if let Ok(lease) = client.acquire("res").ttl(ms(500)).wait(ms(900)).await {
            seen.note(before, lease.token());
            tokio::task::yield_now().await;
            drop(lease.release().await);
        }
    }
}

fn take_in_a_thread(client: &blocking::Client, seen: &Seen, end: Instant) {
    while Instant::now() < end {
        let before = seen.before();
        if let Ok(Some(lease)) = client.try_acquire("res").ttl(ms(500)).call() {
            seen.note(before, lease.token());
            drop(lease.release());
        }
        std::thread::sleep(ms(1));
    }
}

/// A take counts only on a connection that has heard the server's clock within the last second.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_was_lost_is_seeded_anew_however_warm_the_connection() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let fence = keys("res").fence;
        let mut last = 0;
        for lost in [None, Some("0"), Some("-5"), Some("1")] {
            for _ in 0..3 {
                let lease = client.acquire("res").await.unwrap();
                assert!(
                    lease.token() > last,
                    "{lost:?}: {} after {last}",
                    lease.token()
                );
                last = lease.token();
                assert!(lease.release().await.unwrap());
                match lost {
                    None => drop(server.run(&["DEL", &fence])),
                    Some(value) => drop(server.run(&["SET", &fence, value])),
                }
            }
        }
    }
}

/// A counter that is ahead of the clock goes on from where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_ahead_of_the_clock_goes_on() {
    for server in Server::each(&[]) {
        let fence = keys("res").fence;
        let ahead: u64 = 1 << 52;
        server.run(&["SET", &fence, &ahead.to_string()]);
        let client = client_at(&server.url());
        for step in 1..=5 {
            let lease = client.acquire("res").await.unwrap();
            assert!(lease.token() >= ahead + step && lease.token() <= ahead + 2 * step);
            assert!(lease.release().await.unwrap());
        }
    }
}
