//! The end of the process: what its clients hold and wait for is given back, by one effort of at most a second.
//!
//! It is hooked into `exit` of the C library, which comes after all JavaScript, so that no `exit` listener finds its lease
//! gone, and after all worker threads, whose leases it gives back too. `process.exit`, an uncaught error and the natural
//! end come by there; a signal that nobody handles does not.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use leaselock::Client;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::{line, system};

/// How long the process may stay for it in all. A server that is there answers within milliseconds.
const LIMIT: Duration = Duration::from_secs(1);

/// The clients that may have something to give back, by their ids.
static OPEN: LazyLock<Mutex<HashMap<String, Client>>> = LazyLock::new(Mutex::default);
static ONE_LESS: Condvar = Condvar::new();
/// Tells the runtime's thread that the process ends.
static ASKED: Notify = Notify::const_new();
static ENDING: AtomicBool = AtomicBool::new(false);
/// Whose end it is: a fork's child has no thread that could give anything back, and its leases are its parent's.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// A panic elsewhere leaves the collection as it was.
fn open() -> MutexGuard<'static, HashMap<String, Client>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process ends: nothing may be told to JavaScript any more.
pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// As long as it lives the end of the process gives back what its client has, and after that until all that was begun for
/// the client has been done.
pub(crate) struct Remembered {
    client: Client,
    runtime: Handle,
}

impl Remembered {
    pub(crate) fn new(client: &Client, runtime: &Handle) -> Self {
        PROCESS.get_or_init(|| {
            system::at_exit(at_exit);
            process::id()
        });
        open().insert(client.id().to_owned(), client.clone());
        Self {
            client: client.clone(),
            runtime: runtime.clone(),
        }
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        let client = self.client.clone();
        self.runtime.spawn(async move {
            client.settled().await;
            forget(&client);
        });
    }
}

/// The client has been closed.
pub(crate) fn forget(client: &Client) {
    let gone = open().remove(client.id());
    ONE_LESS.notify_all();
    // Outside the lock: it may be the last of its kind.
    drop(gone);
}

/// Never completes; closes all clients when the process ends. On the runtime's thread.
pub(crate) async fn close_all_when_asked() {
    ASKED.notified().await;
    let clients: Vec<_> = open().values().cloned().collect();
    for client in clients {
        // One that is being closed already is forgotten by whoever does it.
        if !client.is_closed() {
            tokio::spawn(async move {
                let _ = client.close().await;
                forget(&client);
            });
        }
    }
    std::future::pending::<()>().await;
}

extern "C" fn at_exit() {
    let _ = catch_unwind(wait_for_all);
}

fn wait_for_all() {
    if PROCESS.get() != Some(&process::id()) {
        return;
    }
    if open().is_empty() || ENDING.swap(true, Ordering::Relaxed) {
        return;
    }
    line::end_all();
    ASKED.notify_one();
    drop(ONE_LESS.wait_timeout_while(open(), LIMIT, |open| !open.is_empty()));
}
