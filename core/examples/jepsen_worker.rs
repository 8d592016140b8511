//! A program of a crew of the Jepsen scenario in Rust, async or blocking. `tests/jepsen/README.md` says what it does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use leaselock::{Client, Error, blocking};
use serde::Deserialize;

const RETRY: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Orders {
    process: u64,
    port: u16,
    name: String,
    ttl: u64,
}

/// The set, and what this program has been told.
struct SharedSet {
    stream: BufReader<TcpStream>,
    element: u64,
    over: bool,
}

impl SharedSet {
    fn new(orders: &Orders) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", orders.port)).expect("the set");
        stream.set_nodelay(true).expect("a socket");
        let mut shared = Self {
            stream: BufReader::new(stream),
            element: orders.process * 1_000_000,
            over: false,
        };
        shared.say(&format!("hello {}", std::process::id()));
        shared
    }

    /// Adds an element: reads, waits a little, looks at the lease, writes.
    fn add(&mut self, token: u64, held: impl Fn() -> bool) {
        let answer = self.ask(&format!("read {token}"));
        self.over = answer == "over";
        let Some(set) = answer.strip_prefix("set ") else {
            return;
        };
        let (milliseconds, elements) = set.split_once(' ').expect("a set");
        let mut elements: Vec<u64> = serde_json::from_str(elements).expect("a set");
        std::thread::sleep(Duration::from_millis(milliseconds.parse().expect("ms")));
        self.element += 1;
        elements.push(self.element);
        let held = u8::from(held());
        let elements = serde_json::to_string(&elements).expect("numbers");
        self.ask(&format!("write {token} {held} {} {elements}", self.element));
    }

    /// Something went wrong that is tried again.
    fn failed(&mut self, error: &Error) {
        self.say(&format!("failed {}", error.kind().code()));
    }

    fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .expect("the set");
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        let mut answer = String::new();
        self.stream.read_line(&mut answer).expect("the set");
        assert!(answer.ends_with('\n'), "the set has gone");
        answer.truncate(answer.len() - 1);
        answer
    }
}

async fn add_async(client: &Client, orders: &Orders, shared: &mut SharedSet) -> Result<(), Error> {
    let ttl = Duration::from_millis(orders.ttl);
    let lease = client.acquire(&orders.name).ttl(ttl).await?;
    tokio::task::block_in_place(|| shared.add(lease.token(), || lease.held()));
    lease.release().await.map(drop)
}

#[tokio::main]
async fn run_async(orders: &Orders, shared: &mut SharedSet) -> Result<(), Error> {
    let client = Client::from_env()?;
    while !shared.over {
        if let Err(error) = add_async(&client, orders, shared).await {
            shared.failed(&error);
            tokio::time::sleep(RETRY).await;
        }
    }
    client.close().await
}

fn add_blocking(
    client: &blocking::Client,
    orders: &Orders,
    shared: &mut SharedSet,
) -> Result<(), Error> {
    let ttl = Duration::from_millis(orders.ttl);
    let lease = client.acquire(&orders.name).ttl(ttl).call()?;
    shared.add(lease.token(), || lease.held());
    lease.release().map(drop)
}

fn run_blocking(orders: &Orders, shared: &mut SharedSet) -> Result<(), Error> {
    let client: blocking::Client = Client::builder().build_blocking()?;
    while !shared.over {
        if let Err(error) = add_blocking(&client, orders, shared) {
            shared.failed(&error);
            std::thread::sleep(RETRY);
        }
    }
    client.close()
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let lock = arguments.next().expect("a lock");
    let orders: Orders = serde_json::from_str(&arguments.next().expect("orders")).expect("orders");
    let mut shared = SharedSet::new(&orders);
    if lock == "rust-blocking" {
        run_blocking(&orders, &mut shared)
    } else {
        run_async(&orders, &mut shared)
    }
}
