//! A client's connection on an event loop: the uncontended acquire and release of asyncio and Node, without a hop to
//! another thread. Whatever is more than that goes on as a future on the client's runtime; but what was waited for there
//! is claimed here, so that its last answer comes to the loop itself.

mod shared;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use self::shared::{Pending, Shared, State, Wanted, Watch, guard};
use self::waiting::{go_on, or_held};
use crate::acquire::{Attempt, First};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::options::Request;
use crate::releasing::{Answered, Begun, Turn};
use crate::shared::Inner;
use crate::store::{Failure, LineDone};

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How an operation ended on the line, or goes on elsewhere.
pub enum Done {
    /// An acquire has ended.
    Acquired(Result<Option<Lease>>),
    /// An acquire goes on: run this on the client's runtime. Dropped, it is undone.
    Acquiring(Later<Ended>),
    /// A release has ended.
    Released(Result<bool>),
    /// A release goes on: run this on the client's runtime. Dropped, it goes on in the background.
    Releasing(Later<Result<bool>>),
}

/// How an acquire ended that had gone on elsewhere.
pub enum Ended {
    /// There.
    Here(Result<Option<Lease>>),
    /// Not yet: it is on the line again, under the same number.
    OnLine,
}

impl Ended {
    /// Of a line that claims nothing.
    ///
    /// # Errors
    /// Those of the acquire.
    pub fn here(self) -> Result<Option<Lease>> {
        match self {
            Self::Here(result) => result,
            Self::OnLine => Err(mixed_up()),
        }
    }
}

/// A connection that the owner's event loop drives. Watch [`fd`](Self::fd) for reading, and call
/// [`on_readable`](Self::on_readable) when it is; after any call that begins something, [`flush`](Self::flush), and while
/// that says that not all is written, watch it for writing too. Not tied to a thread, but used by one at a time.
pub struct Line {
    shared: Arc<Shared>,
    /// Says whose claims are still wanted; nothing where none is made here.
    wanted: Option<Wanted>,
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
    let state = State {
        client: Arc::downgrade(client),
        store,
        pending: HashMap::new(),
        limits: BTreeSet::new(),
        broken: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        watch,
    });
    Ok(Some(Line {
        shared,
        wanted: None,
    }))
}

impl Line {
    /// From here on, what waits elsewhere comes back to be claimed here: its last answer then reaches the loop directly.
    /// `wanted` says whether somebody still waits for the operation of a number; what nobody waits for is undone instead. It
    /// is asked on the runtime's thread, before [`has`](Self::has) knows the number again.
    pub fn claim_here(&mut self, wanted: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.wanted = Some(Arc::new(wanted));
    }

    /// Ends the line unless something is under way; whether it has ended. Nothing comes back to a line that has.
    pub fn end_if_idle(&mut self) -> bool {
        let mut state = self.shared.lock();
        state.broken |= state.pending.is_empty();
        state.broken
    }

    /// The file descriptor to watch. It stays open as long as the line lives.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.watch.outside.fd()
    }

    /// Whether the connection has ended: drop the line and open another.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.shared.lock().broken
    }

    /// The connection is ended: [`on_readable`](Self::on_readable) is due, and tells what was under way.
    pub(crate) fn end(&self) {
        self.shared.watch.outside.end();
    }

    /// Whether there is something to [`flush`](Self::flush).
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        self.shared.lock().store.is_unwritten()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.lock().pending.is_empty()
    }

    /// Whether the operation `id` is under way here; it may be again, after it went on elsewhere.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.shared.lock().pending.contains_key(&id)
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
        let mut state = self.shared.lock();
        let client = state.client.upgrade().ok_or_else(Error::closed)?;
        let attempt = Box::new(Attempt::new(&client, request)?);
        if attempt.is_behind_own_waiters() {
            drop(state);
            return Ok(Some(self.acquiring(id, attempt, once)));
        }
        if let Some(limit) = attempt.short_limit() {
            state.limits.insert((limit, id));
        }
        state.send_attempt(id, attempt, once);
        self.shared.note(&state);
        Ok(None)
    }

    /// When [`give_up`](Self::give_up) is due: the earliest end of an acquire whose wait is shorter than the command
    /// time-out, which a silent connection would outlast.
    #[must_use]
    pub fn gives_up_in(&self) -> Option<Duration> {
        let state = self.shared.lock();
        let (limit, _) = state.limits.first()?;
        Some(limit.saturating_duration_since(Instant::now()))
    }

    /// Ends the acquires whose short wait ran out without any answer. What becomes of them is undone when it is known.
    pub fn give_up(&mut self) -> Vec<(u64, Done)> {
        let mut state = self.shared.lock();
        let mut given_up = Vec::new();
        while let Some(&(limit, id)) = state.limits.first() {
            if limit > Instant::now() {
                break;
            }
            state.limits.pop_first();
            if let Some(Pending::Acquire { .. }) = state.pending.get(&id) {
                given_up.push((id, Done::Acquired(Err(Error::unanswered()))));
            }
        }
        given_up
    }

    pub(crate) fn send_attempt(&mut self, id: u64, attempt: Box<Attempt>) {
        let mut state = self.shared.lock();
        state.send_attempt(id, attempt, true);
        self.shared.note(&state);
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
        let mut state = self.shared.lock();
        let (lock, owner) = turn.request();
        state.store.release(id, lock, owner);
        state.pending.insert(id, Pending::Release(turn));
        self.shared.note(&state);
    }

    /// Writes what was begun; `false` when not all of it could be written yet. A connection that has ended shows in the
    /// next [`on_readable`](Self::on_readable), which is then due at once.
    pub fn flush(&mut self) -> bool {
        self.shared.flush(&mut self.shared.lock())
    }

    /// Reads what has arrived: what has ended, in order. Some of it may have begun another request: flush again.
    pub fn on_readable(&mut self) -> Vec<(u64, Done)> {
        let mut ended = Vec::new();
        let mut state = self.shared.lock();
        let failure = state.store.read(&mut ended).err();
        let mut ended: Vec<(u64, Pending, LineDone)> = ended
            .into_iter()
            .filter_map(|(id, ended)| {
                let pending = state.pending.remove(&id)?;
                Some((id, pending, ended))
            })
            .collect();
        if let Some(failure) = failure {
            state.broken = true;
            ended.extend(state.abandon(&failure));
        }
        if state.pending.is_empty() {
            state.limits.clear();
        }
        self.shared.note(&state);
        drop(state);
        ended
            .into_iter()
            .map(|(id, pending, ended)| (id, self.settle(id, pending, ended)))
            .collect()
    }

    fn settle(&self, id: u64, pending: Pending, ended: LineDone) -> Done {
        match (pending, ended) {
            (Pending::Acquire { mut attempt, once }, LineDone::Asked(asked)) => {
                match attempt.on_first(asked) {
                    Ok(First::Acquired(lease)) => Done::Acquired(Ok(Some(lease))),
                    Ok(First::Held) => Done::Acquired(or_held(Ok(None), once, &attempt.name())),
                    Ok(First::Undecided) => self.acquiring(id, attempt, once),
                    Err(error) => Done::Acquired(Err(error)),
                }
            }
            (Pending::Claim { mut attempt, .. }, LineDone::Asked(asked)) => {
                match attempt.on_claim(asked) {
                    Ok(First::Acquired(lease)) => Done::Acquired(Ok(Some(lease))),
                    Ok(First::Held | First::Undecided) => self.acquiring(id, attempt, false),
                    Err(error) => Done::Acquired(Err(error)),
                }
            }
            (Pending::Release(turn), LineDone::Released(released)) => {
                match turn.answered(released) {
                    Answered::Done(result) => Done::Released(result),
                    Answered::Again { turn, unanswered } => {
                        Done::Releasing(Box::pin(turn.send(unanswered)))
                    }
                }
            }
            // The line answers each operation in kind; were it not so, the operation is undone by being dropped.
            (Pending::Acquire { .. } | Pending::Claim { .. }, LineDone::Released(_)) => {
                Done::Acquired(Err(mixed_up()))
            }
            (Pending::Release(turn), LineDone::Asked(_)) => {
                Done::Releasing(Box::pin(turn.send(true)))
            }
        }
    }

    /// The acquire goes on on the runtime.
    fn acquiring(&self, id: u64, attempt: Box<Attempt>, once: bool) -> Done {
        let wanted = self.wanted.clone();
        let line = wanted.map(|wanted| (Arc::downgrade(&self.shared), wanted));
        Done::Acquiring(Box::pin(go_on(line, id, attempt, once)))
    }
}

fn mixed_up() -> Error {
    Error::unavailable("the connection mixed up its replies")
}

impl Drop for Line {
    fn drop(&mut self) {
        let failure = Failure::unanswered(Error::unavailable("the event loop has ended"));
        let rest = {
            let mut state = self.shared.lock();
            state.broken = true;
            state.abandon(&failure)
        };
        for (id, pending, ended) in rest {
            // Dropped, an acquire is undone and a release goes on, both in the background.
            drop(self.settle(id, pending, ended));
        }
    }
}
