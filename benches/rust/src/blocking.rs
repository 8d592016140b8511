//! leaselock's blocking client.

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leaselock::blocking::{Client, Lease};
use serde_json::json;

use crate::meter::{Slice, now};
use crate::protocol::{Request, Served, Turn, answer, names, requests};

fn acquire(client: &Client, name: &str) -> Lease {
    client.acquire(name).call().expect("acquire")
}

fn release(lease: &Lease) {
    assert!(lease.release().expect("release"), "the lease was lost");
}

fn pairs(clients: &[Client], names: &[String], slice: &Slice) -> u64 {
    let mut pairs = 0;
    for (name, client) in names.iter().cycle().zip(clients.iter().cycle()) {
        if !slice.goes_on() {
            break;
        }
        release(&acquire(client, name));
        pairs += 1;
    }
    pairs
}

/// With several URLs, which a space separates, pairs go by a client of each in turn.
pub fn run(urls: &str) -> Result<(), Box<dyn Error>> {
    let clients: Vec<Client> = urls.split(' ').map(Client::new).collect::<Result<_, _>>()?;
    let client = &clients[0];
    let (served, serving) = mpsc::channel();
    let mut queued = 0;
    let mut kept = Vec::new();
    answer(&json!({ "ready": true }));
    for request in requests() {
        match request {
            Request::Pairs {
                seconds,
                inflight,
                each,
            } => {
                let slice = Slice::start(seconds);
                let names = names(inflight, each);
                let pairs = match names.as_slice() {
                    [names] => pairs(&clients, names, &slice),
                    all => thread::scope(|scope| {
                        let threads: Vec<_> = all
                            .iter()
                            .map(|names| scope.spawn(|| pairs(&clients, names, &slice)))
                            .collect();
                        threads
                            .into_iter()
                            .map(|thread| thread.join().expect("a thread"))
                            .sum()
                    }),
                };
                answer(&slice.result(pairs));
            }
            Request::Hold { name, ms } => {
                let lease = acquire(client, &name);
                answer(&json!({ "held": true }));
                thread::sleep(Duration::from_millis(ms));
                let released = now();
                release(&lease);
                answer(&json!({ "released": released }));
            }
            Request::Wait { name } => {
                let lease = acquire(client, &name);
                let acquired = now();
                release(&lease);
                answer(&json!({ "acquired": acquired }));
            }
            Request::Contend {
                name,
                waiters,
                turns,
                at,
            } => {
                let turn = |waiter| {
                    thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
                    let turn = |_| {
                        let lease = acquire(client, &name);
                        let at = now();
                        release(&lease);
                        Turn {
                            waiter,
                            at,
                            released: now(),
                        }
                    };
                    (0..turns).map(turn).collect::<Vec<_>>()
                };
                let turns: Vec<Turn> = thread::scope(|scope| {
                    let threads: Vec<_> = (0..waiters)
                        .map(|waiter| scope.spawn(move || turn(waiter)))
                        .collect();
                    threads
                        .into_iter()
                        .flat_map(|thread| thread.join().expect("a thread"))
                        .collect()
                });
                answer(&json!({ "turns": turns }));
            }
            Request::Queue { name, ids, ms } => {
                for id in ids {
                    queued += 1;
                    let (client, name, served) = (client.clone(), name.clone(), served.clone());
                    thread::spawn(move || {
                        let lease = acquire(&client, &name);
                        let at = now();
                        thread::sleep(Duration::from_millis(ms));
                        release(&lease);
                        let _ = served.send(Served {
                            id,
                            token: lease.token(),
                            at,
                        });
                    });
                }
                answer(&json!({ "queued": queued }));
            }
            Request::Served => {
                let all: Vec<Served> = serving.iter().take(queued).collect();
                queued = 0;
                answer(&json!({ "served": all }));
            }
            Request::Keep { name, ttl, renew } => {
                let ttl = Duration::from_millis(ttl);
                kept.push(client.acquire(name).ttl(ttl).renew(renew).call()?);
                answer(&json!({ "held": true }));
            }
            Request::Waiters { name } => {
                let waiters = client.inspect(&name)?.map_or(0, |info| info.waiters);
                answer(&json!({ "waiters": waiters }));
            }
            Request::Renewals { .. } => return Err("renewals are the asynchronous client's".into()),
        }
    }
    // Threads may still be waiting.
    std::process::exit(0);
}
