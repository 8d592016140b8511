//! The churn in Rust: a task of the runtime for each. `tests/mixed/README.md` says what it is told and answers.

use std::fs::{File, OpenOptions};
use std::future::IntoFuture as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leaselock::{Client, Error, ErrorKind, Lease};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Whoever failed tries something else a moment later.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// What the program was told to do: `tag` is its name in the log, `tasks` how many take turns until `end` or until there
/// is a file `until`, by `clients` clients.
#[derive(Deserialize)]
struct Orders {
    tag: String,
    tasks: usize,
    clients: usize,
    first: usize,
    end: u64,
    turns: String,
    log: String,
    #[serde(default)]
    until: Option<PathBuf>,
    #[serde(default)]
    command_timeout: Option<u64>,
    #[serde(default)]
    address_map: Vec<(String, String)>,
}

impl Orders {
    fn client(&self) -> Result<Client, Error> {
        let mut builder = Client::builder().address_map(self.address_map.iter().cloned());
        if let Some(ms) = self.command_timeout {
            builder = builder.command_timeout(Duration::from_millis(ms));
        }
        builder.build()
    }

    fn go_on(&self) -> bool {
        now() < self.end && !self.until.as_ref().is_some_and(|until| until.exists())
    }
}

/// One turn of a task, in milliseconds.
#[derive(Deserialize)]
struct Turn {
    name: String,
    ttl: u64,
    renew: bool,
    wait: u64,
    cancel: Option<u64>,
    pauses: Vec<u64>,
    extend: Option<u64>,
    leave: bool,
}

/// Nanoseconds of the clock that all the programs read.
fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("not in 500 years")
}

/// The lines of one task in the log, a write each.
struct Diary {
    who: String,
    log: Arc<File>,
}

impl Diary {
    fn note(&self, at: u64, event: &str, name: &str, more: &str) {
        let line = format!("{at} {} {event} {name} {more}\n", self.who);
        let written = (&*self.log).write(line.as_bytes()).expect("written");
        assert_eq!(written, line.len());
    }

    fn outcome(&self, event: &str, name: &str, more: &str) {
        self.note(now(), event, name, format!("0 0 {more}").trim_end());
    }

    fn failed(&self, name: &str, error: &Error) {
        let more = format!("{}: {error}", error.kind().code());
        self.outcome("failed", name, &more);
    }

    fn of(&self, lease: &Lease, event: &str, more: &str) {
        let more = format!("{} 0 {more}", lease.token());
        self.note(now(), event, lease.name(), more.trim_end());
    }

    /// A write to the resource if the lease is held; else one that comes too late, and false.
    fn writes(&self, lease: &Lease) -> bool {
        let at = now();
        let until = at + u64::try_from(lease.expires_in().as_nanos()).expect("a TTL");
        if let Err(lost) = lease.check() {
            let reason = lost.loss_reason().expect("a reason");
            self.of(lease, "lost", reason.as_str());
            self.of(lease, "late", "");
            return false;
        }
        let more = format!("{} {until}", lease.token());
        self.note(at, "holds", lease.name(), &more);
        true
    }
}

async fn take_turn(client: &Client, turn: &Turn, diary: &Diary) {
    diary.outcome("wants", &turn.name, &turn.wait.to_string());
    let acquire = client
        .acquire(&turn.name)
        .ttl(Duration::from_millis(turn.ttl))
        .wait(Duration::from_millis(turn.wait))
        .renew(turn.renew)
        .label(&diary.who)
        .into_future();
    let acquired = if let Some(cancel) = turn.cancel {
        let Ok(acquired) = timeout(Duration::from_millis(cancel), acquire).await else {
            diary.outcome("cancelled", &turn.name, "");
            return;
        };
        acquired
    } else {
        acquire.await
    };
    match acquired {
        Ok(lease) => {
            if let Err(error) = hold(&lease, turn, diary).await {
                diary.failed(&turn.name, &error);
            }
        }
        Err(error) if error.kind() == ErrorKind::LockTimeout => {
            diary.outcome("timeout", &turn.name, "");
        }
        Err(error) => {
            diary.failed(&turn.name, &error);
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn hold(lease: &Lease, turn: &Turn, diary: &Diary) -> Result<(), Error> {
    for pause in &turn.pauses {
        if !diary.writes(lease) {
            return Ok(());
        }
        sleep(Duration::from_millis(*pause)).await;
    }
    if let Some(ttl) = turn.extend {
        diary.of(lease, "extends", "");
        match lease.extend(Some(Duration::from_millis(ttl))).await {
            Err(error) if error.kind() != ErrorKind::LeaseLost => return Err(error),
            _ => {} // the next look says whether it was lost
        }
    }
    if !diary.writes(lease) {
        return Ok(());
    }
    if turn.leave {
        diary.of(lease, "left", "");
        lease.detach();
    } else {
        diary.of(lease, "ends", "");
        let released = lease.release().await?;
        diary.of(lease, if released { "released" } else { "gone" }, "");
    }
    Ok(())
}

/// Works as it was told; its clients.
async fn work(orders: &str) -> Result<Vec<Client>, Error> {
    let orders: Orders = serde_json::from_str(orders).expect("orders");
    let orders = Arc::new(orders);
    let turns = std::fs::read_to_string(&orders.turns).expect("turns");
    let turns: Vec<Turn> = turns
        .lines()
        .map(|line| serde_json::from_str(line).expect("a turn"))
        .collect();
    let turns = Arc::new(turns);
    let log = OpenOptions::new().append(true).open(&orders.log);
    let log = Arc::new(log.expect("the log"));
    let clients: Vec<Client> = (0..orders.clients)
        .map(|_| orders.client())
        .collect::<Result<_, _>>()?;

    let mut tasks = JoinSet::new();
    for task in 0..orders.tasks {
        let client = clients[task % clients.len()].clone();
        let turns = Arc::clone(&turns);
        let diary = Diary {
            who: format!("{}/{task}", orders.tag),
            log: Arc::clone(&log),
        };
        let orders = Arc::clone(&orders);
        let mut at = orders.first + task * 61;
        tasks.spawn(async move {
            while orders.go_on() {
                take_turn(&client, &turns[at % turns.len()], &diary).await;
                at += 1;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no task panicked");
    }

    println!("done");
    Ok(clients)
}

async fn close(clients: &[Client]) -> Result<(), Error> {
    for client in clients {
        client.close().await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    println!("{}", std::process::id());
    let mut clients = work(&std::env::args().nth(1).expect("orders")).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.is_empty() {
            let stats: Vec<_> = clients.iter().map(Client::stats).collect();
            let held: u64 = stats.iter().map(|stats| stats.held).sum();
            let waiting: u64 = stats.iter().map(|stats| stats.waiting).sum();
            println!("{}", json!({ "held": held, "waiting": waiting }));
        } else {
            close(&clients).await?;
            clients = work(&line).await?;
        }
    }
    close(&clients).await
}
