//! A client's connection on an event loop: the uncontended acquire and release of asyncio and Node, without a hop to
//! another thread. Whatever is more than that goes on as a future on the client's runtime.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::acquire::{Attempt, First};
use crate::client::Client;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::options::Request;
use crate::releasing::{Answered, Begun, Turn};
use crate::shared::ClientCore as Inner;
use crate::store::{Failure, LineDone, LineStore, Outside};

/// The watchdog looks this many times within the command time-out.
const CHECKS: u32 = 4;

type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// How an operation ended on the line, or goes on elsewhere.
pub enum Done {
    /// An acquire has ended.
    Acquired(Result<Option<Lease>>),
    /// An acquire goes on: run this on the client's runtime. Dropped, it is undone.
    Acquiring(Later<Option<Lease>>),
    /// A release has ended.
    Released(Result<bool>),
    /// A release goes on: run this on the client's runtime. Dropped, it goes on in the background.
    Releasing(Later<bool>),
}

enum Pending {
    Acquire { attempt: Box<Attempt>, once: bool },
    Release(Turn),
}

/// A connection that the owner's event loop drives. Watch [`fd`](Self::fd) for reading, and call
/// [`on_readable`](Self::on_readable) when it is; after any call that begins something, [`flush`](Self::flush), and while
/// that says that not all is written, watch it for writing too. Not tied to a thread, but used by one at a time.
pub struct Line {
    client: Weak<Inner>,
    store: Box<dyn LineStore>,
    pending: HashMap<u64, Pending>,
    /// The ends of short waits.
    limits: BTreeSet<(Instant, u64)>,
    watch: Arc<Watch>,
    broken: bool,
}

/// What the watchdog looks at: since when the oldest command waits for its answer, in ms since boot; 0 is none.
struct Watch {
    waiting_since: AtomicU64,
    outside: Box<dyn Outside>,
}

impl Client {
    /// A line to the store, for an event loop; `None` where there can be none (TLS, other stores). Connects in the
    /// background.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) and [`StoreRefused`](crate::ErrorKind::StoreRefused);
    /// the next acquire through the client tells the same.
    pub async fn line(&self) -> Result<Option<Line>> {
        self.inner.enter();
        open(&self.inner).await
    }
}

/// Opens a line on the current runtime.
pub(crate) async fn open(client: &Arc<Inner>) -> Result<Option<Line>> {
    let opening = {
        let client = client.clone();
        tokio::task::spawn_blocking(move || client.store.open_line())
    };
    let store = match opening.await {
        Ok(Some(Ok(store))) => store,
        Ok(Some(Err(failure))) => return Err(failure.error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let watch = Arc::new(Watch {
        waiting_since: AtomicU64::new(0),
        outside: store.outside().map_err(|failure| failure.error)?,
    });
    client.spawn(guard(Arc::downgrade(&watch), client.command_timeout));
    Ok(Some(Line {
        client: Arc::downgrade(client),
        store,
        pending: HashMap::new(),
        limits: BTreeSet::new(),
        watch,
        broken: false,
    }))
}

impl Line {
    /// The file descriptor to watch. It stays open as long as the line lives.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.outside.fd()
    }

    /// Whether the connection has ended: drop the line and open another.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The connection is ended: [`on_readable`](Self::on_readable) is due, and tells what was under way.
    pub(crate) fn end(&self) {
        self.watch.outside.end();
    }

    /// Whether there is something to [`flush`](Self::flush).
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        self.store.is_unwritten()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Begins an acquire as the operation `id`, which its owner chooses; what could be told at once is returned, and
    /// [`on_readable`](Self::on_readable) or [`give_up`](Self::give_up) tells the rest. With `once`, it is tried once
    /// whatever the request says, and a lock that is held is no error. An end that comes for an operation that was given
    /// up is to be dropped.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) and [`ClientClosed`](crate::ErrorKind::ClientClosed).
    pub fn acquire(&mut self, id: u64, request: Request, once: bool) -> Result<Option<Done>> {
        let request = if once {
            request.without_wait()
        } else {
            request
        };
        let client = self.client.upgrade().ok_or_else(Error::closed)?;
        let attempt = Box::new(Attempt::new(&client, request)?);
        if attempt.is_behind_own_waiters() {
            return Ok(Some(acquiring(attempt, once)));
        }
        if let Some(limit) = attempt.short_limit() {
            self.limits.insert((limit, id));
        }
        self.send(id, attempt, once);
        Ok(None)
    }

    /// When [`give_up`](Self::give_up) is due: the earliest end of an acquire whose wait is shorter than the command
    /// time-out, which a silent connection would outlast.
    #[must_use]
    pub fn gives_up_in(&self) -> Option<Duration> {
        let (limit, _) = self.limits.first()?;
        Some(limit.saturating_duration_since(Instant::now()))
    }

    /// Ends the acquires whose short wait ran out without any answer. What becomes of them is undone when it is known.
    pub fn give_up(&mut self) -> Vec<(u64, Done)> {
        let mut given_up = Vec::new();
        while let Some(&(limit, id)) = self.limits.first() {
            if limit > Instant::now() {
                break;
            }
            self.limits.pop_first();
            if self.pending.contains_key(&id) {
                given_up.push((id, Done::Acquired(Err(Error::unanswered()))));
            }
        }
        given_up
    }

    pub(crate) fn send_attempt(&mut self, id: u64, attempt: Box<Attempt>) {
        self.send(id, attempt, true);
    }

    fn send(&mut self, id: u64, mut attempt: Box<Attempt>, once: bool) {
        let (lock, owner, ttl) = attempt.first();
        self.store.take(id, lock, owner, ttl);
        self.pending.insert(id, Pending::Acquire { attempt, once });
        self.note();
    }

    /// Begins to release a lease as the operation `id`; what could be told at once is returned.
    pub fn release(&mut self, id: u64, lease: &Arc<Lease>) -> Option<Done> {
        match lease.begin_release() {
            Begun::Known(gave_back) => Some(Done::Released(Ok(gave_back))),
            Begun::Busy => {
                let lease = lease.clone();
                let release = async move { lease.release().await };
                Some(Done::Releasing(Box::pin(release)))
            }
            Begun::Turn(turn) => {
                self.send_release(id, turn);
                None
            }
        }
    }

    pub(crate) fn send_release(&mut self, id: u64, mut turn: Turn) {
        let (lock, owner) = turn.request();
        self.store.release(id, lock, owner);
        self.pending.insert(id, Pending::Release(turn));
        self.note();
    }

    /// Writes what was begun; `false` when not all of it could be written yet. A connection that has ended shows in the
    /// next [`on_readable`](Self::on_readable), which is then due at once.
    pub fn flush(&mut self) -> bool {
        if self.broken {
            return true;
        }
        self.store.flush().unwrap_or_else(|_| {
            // Reading tells: it ends what is under way.
            self.end();
            true
        })
    }

    /// Reads what has arrived: what has ended, in order. Some of it may have begun another request: flush again.
    pub fn on_readable(&mut self) -> Vec<(u64, Done)> {
        let mut ended = Vec::new();
        let failure = self.store.read(&mut ended).err();
        let mut done: Vec<(u64, Done)> = ended
            .into_iter()
            .filter_map(|(id, ended)| {
                let pending = self.pending.remove(&id)?;
                Some((id, settle(pending, ended)))
            })
            .collect();
        if let Some(failure) = failure {
            self.broken = true;
            done.extend(self.abandon(&failure));
        }
        if self.pending.is_empty() {
            self.limits.clear();
        }
        self.note();
        done
    }

    /// All that is under way, in the order in which it was begun, as failed.
    fn abandon(&mut self, failure: &Failure) -> Vec<(u64, Done)> {
        let mut rest: Vec<_> = self.pending.drain().collect();
        rest.sort_unstable_by_key(|(id, _)| *id);
        rest.into_iter()
            .map(|(id, pending)| {
                let ended = match pending {
                    Pending::Acquire { .. } => LineDone::Asked(Err(failure.clone())),
                    Pending::Release(_) => LineDone::Released(Err(failure.clone())),
                };
                (id, settle(pending, ended))
            })
            .collect()
    }

    /// Tells the watchdog.
    fn note(&self) {
        let since = match self.store.oldest() {
            Some(oldest) if !self.broken => oldest.millis().max(1),
            _ => 0,
        };
        self.watch.waiting_since.store(since, Ordering::Relaxed);
    }
}

fn settle(pending: Pending, ended: LineDone) -> Done {
    match (pending, ended) {
        (Pending::Acquire { mut attempt, once }, LineDone::Asked(asked)) => {
            match attempt.on_first(asked) {
                Ok(First::Acquired(lease)) => Done::Acquired(Ok(Some(lease))),
                Ok(First::Held) => Done::Acquired(or_held(Ok(None), once, &attempt.name())),
                Ok(First::Undecided) => acquiring(attempt, once),
                Err(error) => Done::Acquired(Err(error)),
            }
        }
        (Pending::Release(turn), LineDone::Released(released)) => match turn.answered(released) {
            Answered::Done(result) => Done::Released(result),
            Answered::Again { turn, unanswered } => {
                Done::Releasing(Box::pin(turn.send(unanswered)))
            }
        },
        // The line answers each operation in kind; were it not so, the operation is undone by being dropped.
        (Pending::Acquire { .. }, LineDone::Released(_)) => Done::Acquired(Err(mixed_up())),
        (Pending::Release(turn), LineDone::Asked(_)) => Done::Releasing(Box::pin(turn.send(true))),
    }
}

/// The acquire goes on on the runtime.
fn acquiring(attempt: Box<Attempt>, once: bool) -> Done {
    let name = attempt.name();
    Done::Acquiring(Box::pin(async move {
        or_held(attempt.run().await, once, &name)
    }))
}

/// Tried `once`, a lock that is held is no error.
fn or_held(result: Result<Option<Lease>>, once: bool, name: &str) -> Result<Option<Lease>> {
    match result {
        Ok(None) if !once => Err(Error::held(name)),
        result => result,
    }
}

fn mixed_up() -> Error {
    Error::unavailable("the connection mixed up its replies")
}

impl Drop for Line {
    fn drop(&mut self) {
        let failure = Failure::unanswered(Error::unavailable("the event loop has ended"));
        self.broken = true;
        // Dropped, an acquire is undone and a release goes on, both in the background.
        drop(self.abandon(&failure));
    }
}

/// Ends the connection of a line whose oldest command has had no answer for the command time-out.
async fn guard(watch: Weak<Watch>, timeout: Duration) {
    loop {
        tokio::time::sleep(timeout / CHECKS).await;
        let Some(watch) = watch.upgrade() else {
            return;
        };
        let since = watch.waiting_since.load(Ordering::Relaxed);
        let limit = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if since != 0 && Moment::now().millis().saturating_sub(since) >= limit {
            watch.outside.end();
            return;
        }
    }
}
