//! Many clients, few names and everything going wrong at once: never two holders, never an older token after a newer
//! one, nothing left behind. Whatever fails here prints its seed first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaselock::{Client, ErrorKind, Lease, blocking};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{APP, client_with, keys};

const NAMES: [&str; 2] = ["red", "blue"];
const CLIENTS: usize = 5;
const TASKS_EACH: usize = 4;
const LASTS: Duration = ms(7_000);

/// A small generator: enough to vary what happens, and to name a run by its seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = crate::common::fresh().bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(131).wrapping_add(byte.into())
        });
        eprintln!("seed {seed}");
        Self(seed | 1)
    }

    fn split(&mut self) -> Self {
        Self(self.next() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Mostly short, now and then longer than a TTL.
    fn pause(&mut self) -> u64 {
        let limit = if self.chance(5) { 900 } else { 15 };
        self.below(limit)
    }

    /// Of those past the claim window, some begin with their grant.
    fn ttl(&mut self) -> Duration {
        let least = if self.chance(50) { 600 } else { 2_000 };
        ms(least + self.below(600))
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the locks protect: it sees the tokens, and knows whether two leases are held at one time.
#[derive(Default)]
struct Resource(Mutex<HashMap<&'static str, u64>>);

impl Resource {
    /// A write under a lease. `held` is asked in here, so that no other write comes between.
    fn write(&self, name: &'static str, token: u64, held: impl FnOnce() -> bool) {
        let mut newest = self.0.lock().unwrap();
        let newest = newest.entry(name).or_default();
        if held() {
            assert!(
                token >= *newest,
                "{name}: {token} is held although {newest} was acquired since"
            );
            *newest = token;
        }
    }
}

fn expected(error: &leaselock::Error) {
    assert!(
        matches!(
            error.kind(),
            ErrorKind::LockTimeout | ErrorKind::StoreUnavailable | ErrorKind::LeaseLost
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_share_names_through_every_fault() {
    for server in Server::each(&[]) {
        let mut dice = Dice::new();
        let resource = Arc::new(Resource::default());
        let end = Instant::now() + LASTS;
        let mut proxies = Vec::new();
        let mut clients = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let proxy = Proxy::start(server.port).await;
            let client = client_with(&proxy.url(), ms(700));
            for _ in 0..TASKS_EACH {
                let (client, resource, dice) = (client.clone(), resource.clone(), dice.split());
                tasks.spawn(take_turns(client, resource, dice, end));
            }
            proxies.push(proxy);
            clients.push(client);
        }

        while Instant::now() < end {
            let proxy = &proxies[usize::try_from(dice.below(CLIENTS as u64)).unwrap()];
            disturb(&server, proxy, &mut dice).await;
            tokio::time::sleep(ms(20 + dice.below(150))).await;
        }
        proxies.iter().for_each(Proxy::heal);

        let mut served = 0;
        while let Some(task) = tasks.join_next().await {
            served += task.expect("no invariant was broken");
        }
        assert!(served > 30, "{served} leases in {LASTS:?}");
        all_given_back(&server, &clients).await;
        eprintln!("{served} leases on {}", server.name);
    }
}

async fn take_turns(
    client: Client,
    resource: Arc<Resource>,
    mut dice: Dice,
    end: Instant,
) -> usize {
    let mut served = 0;
    while Instant::now() < end {
        let name = NAMES[usize::try_from(dice.below(2)).unwrap()];
        let acquire = client
            .acquire(name)
            .ttl(dice.ttl())
            .wait(ms(dice.below(3_000)))
            .into_future();
        let acquired = if dice.chance(15) {
            let Ok(acquired) = tokio::time::timeout(ms(dice.below(60)), acquire).await else {
                continue; // given up by its caller
            };
            acquired
        } else {
            acquire.await
        };
        let lease = match acquired {
            Ok(lease) => lease,
            Err(error) => {
                expected(&error);
                continue;
            }
        };
        served += 1;
        hold(&lease, name, &resource, &mut dice).await;
        if dice.chance(80)
            && let Err(error) = lease.release().await
        {
            expected(&error);
        }
        // Else it is dropped, and given back in the background.
    }
    served
}

async fn hold(lease: &Lease, name: &'static str, resource: &Resource, dice: &mut Dice) {
    for _ in 0..dice.below(4) {
        resource.write(name, lease.token(), || lease.held());
        tokio::time::sleep(ms(dice.pause())).await;
        if dice.chance(15)
            && let Err(error) = lease.extend(Some(ms(400 + dice.below(900)))).await
        {
            expected(&error);
        }
    }
    resource.write(name, lease.token(), || lease.held());
}

/// One thing that goes wrong, for a moment.
async fn disturb(server: &Server, proxy: &Proxy, dice: &mut Dice) {
    match dice.below(10) {
        0 => proxy.cut(),
        1 => {
            proxy.refuse();
            tokio::time::sleep(ms(dice.below(300))).await;
        }
        2 => {
            proxy.black_hole();
            tokio::time::sleep(ms(dice.below(1_000))).await;
        }
        3 => proxy.to_client().lose_next(),
        4 => proxy.to_server().lose_next(),
        5 => drop(server.run(&["SCRIPT", "FLUSH"])),
        6 => drop(server.run(&["CLIENT", "KILL", "TYPE", "normal"])),
        7 => drop(server.run(&["CLIENT", "KILL", "TYPE", "pubsub"])),
        8 => drop(server.run(&["CLIENT", "PAUSE", &dice.below(250).to_string(), "ALL"])),
        _ => {
            server.pause();
            tokio::time::sleep(ms(dice.below(250))).await;
            server.resume();
        }
    }
    // What was lost with a connection stays lost; the rest of the time the network works.
    if !dice.chance(30) {
        proxy.heal();
    }
}

async fn all_given_back(server: &Server, clients: &[Client]) {
    for client in clients {
        until("nothing is held or waits", ms(3_000), async || {
            let stats = client.stats();
            (stats.held, stats.waiting) == (0, 0)
        })
        .await;
    }
    nothing_left(server).await;
    // Every client still works, and closes.
    for client in clients {
        let lease = client.acquire("last").wait(ms(5_000)).await.unwrap();
        assert!(lease.release().await.unwrap());
        client.close().await.unwrap();
    }
    assert_eq!(server.int(&["DBSIZE"]), 1);
    assert!(!server.exists(&keys("last").lock));
}

/// Waits until the counter alone is left; says what else is.
async fn nothing_left(server: &Server) {
    let start = Instant::now();
    while server.int(&["DBSIZE"]) != 1 {
        if start.elapsed() > ms(5_000) {
            for name in NAMES {
                let keys = keys(name);
                let holder = server.text(&["GET", &keys.lock]);
                let waiters = server.run(&["ZRANGE", &keys.queue, "0", "-1", "WITHSCORES"]);
                let left = server.int(&["PTTL", &keys.queue]);
                eprintln!("{name}: held by {holder:?}; waiting, for {left} ms: {waiters:?}");
            }
            panic!("more than the counter is left");
        }
        tokio::time::sleep(ms(10)).await;
    }
}

#[test]
fn threads_share_names_through_every_fault() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for server in Server::each(&[]) {
        let mut dice = Dice::new();
        let resource = Resource::default();
        let end = Instant::now() + LASTS;
        let proxies: Vec<_> = (0..CLIENTS)
            .map(|_| runtime.block_on(Proxy::start(server.port)))
            .collect();
        let clients: Vec<_> = proxies
            .iter()
            .map(|proxy| {
                let builder = Client::builder().url(proxy.url()).app_id(APP);
                builder.command_timeout(ms(700)).build_blocking().unwrap()
            })
            .collect();
        let served: usize = std::thread::scope(|threads| {
            let mut turns = Vec::new();
            for client in &clients {
                for _ in 0..TASKS_EACH {
                    let (resource, dice) = (&resource, dice.split());
                    turns.push(
                        threads.spawn(move || take_turns_blocking(client, resource, dice, end)),
                    );
                }
            }
            while Instant::now() < end {
                let proxy = &proxies[usize::try_from(dice.below(CLIENTS as u64)).unwrap()];
                runtime.block_on(disturb(&server, proxy, &mut dice));
                std::thread::sleep(ms(20 + dice.below(150)));
            }
            proxies.iter().for_each(Proxy::heal);
            turns.into_iter().map(|turn| turn.join().unwrap()).sum()
        });
        assert!(served > 30, "{served} leases in {LASTS:?}");
        runtime.block_on(nothing_left(&server));
        for client in &clients {
            let stats = client.stats();
            assert_eq!((stats.held, stats.waiting), (0, 0), "{stats:?}");
            let lease = client.acquire("last").wait(ms(5_000)).call().unwrap();
            assert!(lease.release().unwrap());
            client.close().unwrap();
        }
        assert_eq!(server.int(&["DBSIZE"]), 1);
        eprintln!("{served} leases on {}", server.name);
    }
}

fn take_turns_blocking(
    client: &blocking::Client,
    resource: &Resource,
    mut dice: Dice,
    end: Instant,
) -> usize {
    let mut served = 0;
    while Instant::now() < end {
        let name = NAMES[usize::try_from(dice.below(2)).unwrap()];
        let ttl = dice.ttl();
        let acquired = if dice.chance(40) {
            client.try_acquire(name).ttl(ttl).call()
        } else {
            let wait = ms(dice.below(2_000));
            client.acquire(name).ttl(ttl).wait(wait).call().map(Some)
        };
        let lease = match acquired {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                std::thread::sleep(ms(dice.below(20)));
                continue;
            }
            Err(error) => {
                expected(&error);
                continue;
            }
        };
        served += 1;
        for _ in 0..=dice.below(3) {
            resource.write(name, lease.token(), || lease.held());
            std::thread::sleep(ms(dice.pause()));
        }
        if dice.chance(15)
            && let Err(error) = lease.extend(Some(ms(400 + dice.below(900))))
        {
            expected(&error);
        }
        resource.write(name, lease.token(), || lease.held());
        if dice.chance(80)
            && let Err(error) = lease.release()
        {
            expected(&error);
        }
    }
    served
}
