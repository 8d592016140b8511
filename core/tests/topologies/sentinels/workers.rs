//! Clients that take turns at locks and write to what the locks guard, which takes no older token after a newer one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaselock::ErrorKind;
use tokio::task::JoinSet;

use crate::callers::{Caller, KINDS};
use crate::common::ms;

/// How many clients work, half of them of each kind.
const CLIENTS: usize = 20;
/// How many locks they work with.
const LOCKS: usize = 6;
/// No failover keeps anybody waiting for longer than this.
const WAIT: Duration = ms(90_000);

/// What the locks guard: the last token that it took for each.
#[derive(Default)]
struct Guarded(Mutex<HashMap<String, u64>>);

impl Guarded {
    fn last(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// Whether it takes a write with this token.
    fn write(&self, name: &str, token: u64) -> bool {
        let mut last = self.0.lock().unwrap();
        let last = last.entry(name.to_owned()).or_default();
        let is_new = token > *last;
        *last = token.max(*last);
        is_new
    }
}

pub(super) struct Workers {
    tasks: JoinSet<()>,
    over: Arc<AtomicBool>,
    /// When each last had a lock.
    turns: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Workers {
    /// They are at work when this returns.
    pub(super) async fn start(url: &str) -> Self {
        let guarded: Arc<Guarded> = Arc::default();
        let over: Arc<AtomicBool> = Arc::default();
        let turns = Arc::new(Mutex::new(vec![(Instant::now(), 0); CLIENTS]));
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            // A release may have to wait for a failover, too.
            let client = Caller::patient(KINDS[number % 2], url, WAIT);
            let (guarded, over, turns) = (guarded.clone(), over.clone(), turns.clone());
            tasks.spawn(async move {
                for round in 0.. {
                    if over.load(SeqCst) {
                        return;
                    }
                    let name = format!("job-{}", (number + round) % LOCKS);
                    turn(&client, &guarded, &name).await;
                    turns.lock().unwrap()[number] = (Instant::now(), round + 1);
                    tokio::time::sleep(ms(2)).await;
                }
            });
        }
        let this = Self { tasks, over, turns };
        crate::common::until("all work", ms(30_000), async || {
            this.turns
                .lock()
                .unwrap()
                .iter()
                .all(|(_, turns)| *turns > 25)
        })
        .await;
        this
    }

    /// Waits until each has had a lock after `since`; how long that was after `since` for the last of them.
    pub(super) async fn all_since(&mut self, since: Instant) -> Duration {
        loop {
            let turns: Vec<_> = self.turns.lock().unwrap().iter().map(|it| it.0).collect();
            if turns.iter().all(|at| *at > since) {
                return since.elapsed();
            }
            let waiting = turns.iter().filter(|at| **at <= since).count();
            assert!(since.elapsed() < ms(30_000), "{waiting} wait");
            tokio::select! {
                ended = self.tasks.join_next() => panic!("one has ended: {ended:?}"),
                () = tokio::time::sleep(ms(5)) => {}
            }
        }
    }

    /// Ends them; how many turns they had.
    pub(super) async fn end(mut self) -> usize {
        self.over.store(true, SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("it goes on by itself");
        }
        self.turns.lock().unwrap().iter().map(|it| it.1).sum()
    }
}

async fn turn(client: &Caller, guarded: &Guarded, name: &str) {
    let before = guarded.last(name);
    let lease = client.acquire(name, Some(WAIT)).await;
    let lease = lease.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let token = lease.token();
    assert!(token > before, "{name}: {token} after {before}");
    // Of two that both hold it, when a master is lost with what it had not passed on, the older one is refused.
    guarded.write(name, token);
    tokio::time::sleep(ms(1)).await;
    if let Err(error) = lease.release().await {
        assert_eq!(error.kind(), ErrorKind::LeaseLost, "{name}: {error:?}");
    }
}
