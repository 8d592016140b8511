//! What a hand-over brings: a lease that begins with its grant, or a grant that is to be claimed.

mod begun;
mod claimed;
mod late;

use std::sync::LazyLock;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use leaselock::{Client, Lease};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{APP, client_at, keys, queued, sleep};

/// For how long a hand-over sets the name. A lease begins only with half of it left.
const WINDOW: Duration = ms(2_000);
const HALF_WINDOW: Duration = ms(1_000);

/// A runtime that no holder of a lease keeps busy: elsewhere leases need not begin with their grant.
static APART: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
});

/// A client that lives there, if what it does is [spawned](spawn_apart) there, too.
pub(crate) fn client_apart(url: &str) -> Client {
    let builder = Client::builder().url(url).app_id(APP);
    let builder = builder.runtime(APART.handle().clone()).dedicated_runtime();
    builder.build().expect("a client")
}

pub(crate) fn spawn_apart<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    APART.spawn(future)
}

/// Starts to wait for `name` there.
fn wait_apart(client: &Client, name: &str) -> JoinHandle<leaselock::Result<Lease>> {
    let acquire = client.acquire(name).wait(ms(20_000));
    spawn_apart(acquire.into_future())
}

/// What is published to a client's inbox.
pub(crate) struct Inbox(Receiver<String>);

impl Inbox {
    /// Listens beside the client.
    pub(crate) fn of(server: &Server, client_id: &str) -> Self {
        let (sender, messages) = channel();
        let mut connection = server.connect();
        let inbox = channel_of(client_id);
        let listening = sender.clone();
        std::thread::spawn(move || {
            let mut heard = connection.as_pubsub();
            heard.subscribe(inbox).expect("subscribed");
            let _ = listening.send("listening".to_owned());
            // It ends with the server.
            while let Ok(message) = heard.get_message() {
                let _ = sender.send(message.get_payload().expect("text"));
            }
        });
        let first = messages.recv().expect("it listens");
        assert_eq!(first, "listening");
        Self(messages)
    }

    /// The token of the next grant.
    fn granted(&self) -> u64 {
        loop {
            let message = self.0.recv_timeout(ms(5_000)).expect("a grant");
            if let Some(token) = token(&message) {
                return token;
            }
        }
    }

    /// Whether a grant brought this token.
    pub(crate) fn was_granted(&self, wanted: u64) -> bool {
        while let Ok(message) = self.0.recv_timeout(ms(500)) {
            if token(&message) == Some(wanted) {
                return true;
            }
        }
        false
    }
}

/// The token of a message, if it is a grant.
fn token(message: &str) -> Option<u64> {
    match message.split('\n').collect::<Vec<_>>().as_slice() {
        ["1", "grant", _, _, token, "2000"] => Some(token.parse().expect("a token")),
        _ => None,
    }
}

fn channel_of(client_id: &str) -> String {
    format!("lock||inbox||{client_id}")
}

/// A name that one client holds and another one, behind a proxy, waits for.
struct Scene {
    server: Server,
    proxy: Proxy,
    holder: Client,
    waiter: Client,
    inbox: Inbox,
}

impl Scene {
    async fn each() -> Vec<Self> {
        let mut scenes = Vec::new();
        for server in Server::each(&[]) {
            let proxy = Proxy::start(server.port).await;
            let waiter = client_apart(&proxy.url());
            scenes.push(Self {
                holder: client_at(&server.url()),
                inbox: Inbox::of(&server, waiter.id()),
                waiter,
                proxy,
                server,
            });
        }
        scenes
    }

    async fn held(&self) -> Lease {
        let lease = self.holder.acquire("res").ttl(ms(60_000)).await;
        lease.expect("it was free")
    }

    /// A lease of the holder's, and who waits for it, most probably asleep.
    async fn waited_for(&self) -> (Lease, JoinHandle<leaselock::Result<Lease>>) {
        let held = self.held().await;
        let waiter = wait_apart(&self.waiter, "res");
        self.asleep().await;
        (held, waiter)
    }

    /// Sets the name for a waiter's owner, as a hand-over does that tells nobody.
    fn hand_over_to(&self, owner: &str) {
        let names = keys("res");
        self.server.run(&["DEL", &names.queue]);
        self.server.run(&["SET", &names.lock, owner, "PX", "2000"]);
    }

    /// Waits until the waiter is queued and most probably asleep.
    async fn asleep(&self) {
        queued(&self.server, "res", 1).await;
        sleep(20).await;
    }

    /// A lease that began with its grant. With `cut_off` nothing of its holder reaches the server from before the
    /// hand-over on.
    async fn begun(&self, cut_off: bool) -> Lease {
        self.begun_late(cut_off, Duration::ZERO).await
    }

    /// The same, with a grant that is so late. A machine that was too slow for a lease to begin has another try.
    async fn begun_late(&self, cut_off: bool, late: Duration) -> Lease {
        for _ in 0..20 {
            let (held, mut waiter) = self.waited_for().await;
            self.proxy.to_server().hold.store(cut_off, SeqCst);
            self.proxy.to_client().hold.store(true, SeqCst);
            assert!(held.release().await.unwrap());
            tokio::time::sleep(late).await;
            self.proxy.to_client().hold.store(false, SeqCst);
            let granted = self.inbox.granted();
            let mut lease = tokio::time::timeout(HALF_WINDOW, &mut waiter).await;
            if lease.is_err() {
                self.proxy.heal();
                lease = Ok(waiter.await);
            }
            let lease = lease.unwrap().unwrap().unwrap();
            if lease.token() == granted {
                assert!(lease.token() > held.token());
                return lease;
            }
            drop(lease.release().await);
        }
        panic!("no lease begins with its grant");
    }

    fn ttl_in_store(&self) -> Duration {
        let pttl = self.server.int(&["PTTL", &keys("res").lock]);
        ms(u64::try_from(pttl).unwrap_or(0))
    }

    /// What it has here it has in the store.
    fn check_deadline(&self, lease: &Lease) {
        let asked = Instant::now();
        let here = lease.expires_in();
        let there = self.ttl_in_store();
        // The store was asked that much later.
        let between = asked.elapsed();
        assert!(
            here <= there + between,
            "{here:?} here, {there:?} in the store {between:?} later"
        );
    }

    /// How many scripts were called.
    fn scripts(&self) -> u64 {
        let stats = self.server.text(&["INFO", "commandstats"]).unwrap();
        let calls = |command: &str| -> u64 {
            let line = stats.lines().find_map(|line| line.strip_prefix(command));
            line.and_then(|line| line.split(',').next())
                .map_or(0, |calls| calls.parse().expect("a number"))
        };
        calls("cmdstat_evalsha:calls=") + calls("cmdstat_eval:calls=")
    }

    /// The only waiter's owner.
    fn queued_owner(&self) -> String {
        let queue = self.server.run(&["ZRANGE", &keys("res").queue, "0", "0"]);
        let members: Vec<String> = redis::from_redis_value(queue).unwrap();
        let owner = members.first().and_then(|member| member.split('|').nth(3));
        owner.expect("it waits").to_owned()
    }

    fn publish(&self, words: &[&str]) {
        let message = words.join("\n");
        let heard = self
            .server
            .int(&["PUBLISH", &channel_of(self.waiter.id()), &message]);
        assert_eq!(heard, 2, "the client and this test");
    }
}

fn is_claimed(lease: &Lease, granted: u64) {
    assert!(lease.token() > granted, "it began with its grant");
    assert!(
        lease.expires_in() > WINDOW,
        "the full TTL: {:?}",
        lease.expires_in()
    );
}
