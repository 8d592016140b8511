//! The worker of the mixed-language tests in Rust: each request in a task of its own. `tests/mixed/README.md` says more.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leaselock::{Client, Error, Lease};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[derive(Default)]
struct Leases(Mutex<HashMap<String, Arc<Lease>>>);

impl Leases {
    fn get(&self, request: &Value) -> Arc<Lease> {
        self.0.lock().unwrap()[text(request, "lease")].clone()
    }
}

fn text<'a>(request: &'a Value, field: &str) -> &'a str {
    request[field].as_str().expect("a text")
}

fn millis(request: &Value, field: &str) -> Option<Duration> {
    request[field].as_u64().map(Duration::from_millis)
}

async fn run(client: &Client, leases: &Leases, request: &Value) -> Result<Value, Error> {
    Ok(match text(request, "op") {
        "hello" => json!({ "pid": std::process::id() }),
        "acquire" => {
            let mut acquire = client.acquire(text(request, "name")).label("rust");
            if let Some(ttl) = millis(request, "ttl") {
                acquire = acquire.ttl(ttl);
            }
            if let Some(wait) = millis(request, "wait") {
                acquire = acquire.wait(wait);
            }
            let lease = acquire.await?;
            let taken = json!({ "owner": lease.owner(), "token": lease.token() });
            let mut leases = leases.0.lock().unwrap();
            leases.insert(text(request, "as").to_owned(), Arc::new(lease));
            taken
        }
        "release" => leases.get(request).release().await?.into(),
        "release_owner" => {
            let owner = text(request, "owner");
            client
                .release(text(request, "name"), owner)
                .await?
                .as_str()
                .into()
        }
        "look" => {
            let lease = leases.get(request);
            json!({
                "state": lease.state().as_str(),
                "held": lease.held(),
                "expires_in": lease.expires_in().as_secs_f64() * 1000.0,
            })
        }
        "looks" => {
            let (lease, mut seen) = (leases.get(request), Vec::new());
            let mut at = 0;
            while Some(at) < request["until"].as_i64() {
                let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
                at = now.tv_sec() * 1_000_000_000 + now.tv_nsec();
                seen.push(json!([at, lease.held()]));
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            seen.into()
        }
        "check" => {
            leases.get(request).check()?;
            Value::Null
        }
        "wait_lost" => {
            let limit = millis(request, "timeout").unwrap_or_default();
            match tokio::time::timeout(limit, leases.get(request).lost()).await {
                Ok(reason) => reason.as_str().into(),
                Err(_) => Value::Null,
            }
        }
        "block" => {
            // There is no interpreter to block: only this thread is kept.
            std::thread::sleep(millis(request, "ms").unwrap_or_default());
            Value::Null
        }
        "count" => {
            let mut added = 0;
            while add_one(client, request).await? {
                added += 1;
            }
            added.into()
        }
        "close" => {
            client.close().await?;
            Value::Null
        }
        other => panic!("no such op: {other}"),
    })
}

/// Adds one to the number; false when it is `up_to` already.
async fn add_one(client: &Client, request: &Value) -> Result<bool, Error> {
    let path = text(request, "file");
    let ttl = millis(request, "ttl").expect("a TTL");
    let lease = client.acquire(text(request, "name")).ttl(ttl).await?;
    let number = std::fs::read_to_string(path).expect("the file");
    let number: u64 = number.parse().expect("a number");
    let more = Some(number) < request["up_to"].as_u64();
    if more {
        tokio::task::yield_now().await;
        // One write over the old number, never a longer one: whoever is killed leaves the old one or the new.
        let mut file = open(OpenOptions::new().write(true), path);
        file.write_all((number + 1).to_string().as_bytes())
            .expect("written");
        let mut tokens = open(
            OpenOptions::new().append(true).create(true),
            &format!("{path}.tokens"),
        );
        tokens
            .write_all(format!("{}\n", lease.token()).as_bytes())
            .expect("written");
    }
    lease.release().await?;
    Ok(more)
}

fn open(how: &OpenOptions, path: &str) -> File {
    how.open(path).expect("a file")
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let leases = Arc::new(Leases::default());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (client, leases) = (client.clone(), leases.clone());
        tokio::spawn(async move {
            let request: Value = serde_json::from_str(&line).expect("a request");
            let reply = match run(&client, &leases, &request).await {
                Ok(result) => json!({ "id": request["id"], "result": result }),
                Err(error) => json!({ "id": request["id"], "error": {
                    "name": error.kind().name(),
                    "code": error.kind().code(),
                    "reason": error.loss_reason().map(leaselock::LossReason::as_str),
                    "message": error.to_string(),
                } }),
            };
            println!("{reply}");
        });
    }
    std::process::exit(0);
}
