//! The end of a process: what its clients still hold or wait for is given back, in one effort that is bounded in time.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::shared::ClientCore;
use crate::sync;

/// The clients of one process, to be closed together at its end.
#[derive(Default)]
pub struct Clients(Mutex<Known>);

#[derive(Default)]
struct Known {
    clients: Vec<Weak<ClientCore>>,
    /// When there are as many, those that have gone are looked for.
    crowd: usize,
    ended: bool,
}

impl Clients {
    /// No client yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Known {
            clients: Vec::new(),
            crowd: 0,
            ended: false,
        }))
    }

    /// Adds a client that was just made; one that comes after the end is closed from the start.
    pub(crate) fn add(&self, client: &Arc<ClientCore>) {
        let mut known = sync::lock(&self.0);
        if known.ended {
            client.refuse();
        }
        if known.clients.len() >= known.crowd {
            known.clients.retain(|client| client.strong_count() > 0);
            known.crowd = (2 * known.clients.len()).max(64);
        }
        known.clients.push(Arc::downgrade(client));
    }

    /// Closes every client: leases are given back, waiters go home, and no acquire begins any more. Waits for the stores'
    /// answers, for `limit` at most, and not at all where nothing was held, waited for or being given back. The calling
    /// thread must not be within a runtime.
    pub fn end(&self, limit: Duration) {
        let clients = {
            let mut known = sync::lock(&self.0);
            known.ended = true;
            std::mem::take(&mut known.clients)
        };
        let give_up_at = Instant::now() + limit;
        let open = Arc::new(Open::default());
        for client in clients.iter().filter_map(Weak::upgrade) {
            if let Some(runtime) = client.close_at_end() {
                let one = open.one();
                runtime.spawn(async move {
                    client.finish_closing().await;
                    drop(one);
                });
            }
        }
        open.wait(give_up_at);
    }
}

/// How many clients are still closing.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    none: Condvar,
}

impl Open {
    fn one(self: &Arc<Self>) -> One {
        *sync::lock(&self.count) += 1;
        One(self.clone())
    }

    fn wait(&self, until: Instant) {
        let mut count = sync::lock(&self.count);
        while *count > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            count = sync::wait_for(&self.none, count, left);
        }
    }
}

/// One of them, until it is dropped, which a runtime does that ends early.
struct One(Arc<Open>);

impl Drop for One {
    fn drop(&mut self) {
        *sync::lock(&self.0.count) -= 1;
        self.0.none.notify_all();
    }
}
