//! The worker of the mixed-language tests in Rust: each request in a task of its own. `tests/mixed/README.md` says more.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leaselock::{Client, Error, Lease};
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
            for _ in 0..request["times"].as_u64().unwrap_or(0) {
                count(client, request).await?;
            }
            Value::Null
        }
        "close" => {
            client.close().await?;
            Value::Null
        }
        other => panic!("no such op: {other}"),
    })
}

async fn count(client: &Client, request: &Value) -> Result<(), Error> {
    let file = text(request, "file");
    let lease = client.acquire(text(request, "name")).await?;
    let number: u64 = std::fs::read_to_string(file)
        .expect("the file")
        .trim()
        .parse()
        .expect("a number");
    tokio::task::yield_now().await;
    let mut tokens = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(format!("{file}.tokens"))
        .expect("the file of tokens");
    writeln!(tokens, "{}", lease.token()).expect("written");
    std::fs::write(file, (number + 1).to_string()).expect("written");
    lease.release().await?;
    Ok(())
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
