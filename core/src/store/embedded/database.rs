//! One open store of this process, shared by its clients: each operation is a transaction on its one connection.
//!
//! An operation runs in the caller's thread when the store is free, which is nearly always. Where another process has it
//! locked for longer than a moment, it goes to the store's own thread, which can wait; until that has caught up, everything
//! later queues behind it, so an owner's commands never overtake each other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use tokio::sync::oneshot;

use super::boot_clock::Now;
use super::opening::{self, OpenDatabase};
use super::operations;
use super::post::{News, Post};
use super::sqlite_failure::{OpenError, from_sqlite, is_busy};
use super::transaction::{Access, Transaction};
use super::upkeep::Upkeep;
use super::url::Location;
use super::work::Work;
use super::worker::Worker;
use crate::error::Error;
use crate::fork::{self, Inherited, Inside};
use crate::store::{Event, Failure, Listener, Scope};
use crate::sync;

/// How long a caller's thread tries to get the write lock by itself.
const PATIENCE: Duration = Duration::from_millis(1);
const FIRST_PAUSE: Duration = Duration::from_micros(30);
/// An operation that had to wait is given up this long before its caller stops listening.
const HEARD_WITHIN: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// One open store.
pub(super) struct Database {
    location: Location,
    connection: Arc<SharedConnection>,
    pub(super) post: Post,
    worker: Worker,
    /// Operations that the worker has not finished.
    pending: AtomicUsize,
    /// How often the file was opened.
    opened: AtomicU64,
    upkeep: Upkeep,
    this: Weak<Self>,
}

/// The connection of a database, where there is one. A child process closes the one that it inherited.
#[derive(Default)]
struct SharedConnection {
    state: Mutex<ConnectionState>,
}

#[derive(Default)]
enum ConnectionState {
    #[default]
    Closed,
    Open(OpenDatabase),
    /// Inherited from the parent process, and not to be used.
    Inherited,
}

impl SharedConnection {
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        sync::lock(&self.state)
    }
}

impl Inherited for SharedConnection {
    fn close_in_child(&self, _: &Inside) {
        if fork::was_unprepared() {
            // Its state may be anything, and none is opened here again.
            return;
        }
        if let ConnectionState::Open(open) =
            std::mem::replace(&mut *self.lock(), ConnectionState::Inherited)
        {
            // The locks are the parent's: nothing is to be written, and nothing removed.
            let _ = open
                .connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// What came of one attempt at an operation.
pub(super) enum Tried<T> {
    Done(Result<T, Failure>),
    /// Nothing was done: not now, or not in this thread.
    Later,
}

/// Whose thread an attempt is made in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ThreadOf {
    Caller,
    Worker,
}

impl Database {
    pub(super) fn new(location: Location, inside: &Inside) -> Arc<Self> {
        let connection = Arc::<SharedConnection>::default();
        fork::opened(inside, connection.clone());
        Arc::new_cyclic(|this| Self {
            post: Post::new(&location),
            location,
            connection,
            worker: Worker::default(),
            pending: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            upkeep: Upkeep::default(),
            this: this.clone(),
        })
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// Whether the store has nothing that anybody could miss: no lock, no waiter.
    pub(super) fn found_idle(&self, inside: &Inside) -> bool {
        let idle = self.attempt_inside(
            inside,
            ThreadOf::Caller,
            Access::Read,
            &mut operations::is_in_use,
            &mut Vec::new(),
            &mut Vec::new(),
        );
        matches!(idle, Tried::Done(Ok(false) | Err(_)))
    }

    /// The number of times the file was opened, at least 1.
    pub(super) fn epoch(&self) -> u64 {
        self.opened.load(Ordering::Acquire).max(1)
    }

    /// Carries an operation out in the calling thread, if the operation takes but a moment.
    pub(super) fn try_now<T>(
        &self,
        access: Access,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Tried<T> {
        self.attempt(ThreadOf::Caller, access, operation)
    }

    /// Tries an operation once, on the store's own thread, whatever waits there.
    pub(super) fn try_waiting<T>(
        &self,
        access: Access,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Tried<T> {
        self.attempt(ThreadOf::Worker, access, operation)
    }

    /// Carries an operation out, waiting for other processes up to `timeout`.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        access: Access,
        timeout: Duration,
        mut operation: impl FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        // What never has to wait would keep the other tasks of its thread from running.
        tokio::task::coop::consume_budget().await;
        if let Tried::Done(result) = self.try_now(access, &mut operation) {
            return result;
        }
        self.run_on_worker(access, timeout, operation).await
    }

    /// Carries an operation out on the store's own thread, for what takes long; waits for other processes up to `timeout`.
    pub(super) async fn run_on_worker<T: Send + 'static>(
        self: &Arc<Self>,
        access: Access,
        timeout: Duration,
        mut operation: impl FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let database = self.clone();
        // Whoever waits for this waits no longer than `timeout`, and is to hear why.
        let timeout = timeout.saturating_sub((timeout / 10).min(HEARD_WITHIN));
        let give_up_at = Instant::now() + timeout;
        self.pending.fetch_add(1, Ordering::AcqRel);
        let started = self.worker.run(Box::new(move || {
            let result = database.wait(
                access,
                timeout,
                give_up_at,
                || sender.is_closed(),
                &mut operation,
            );
            database.pending.fetch_sub(1, Ordering::AcqRel);
            // Whoever asked is told last: what it does next finds nothing pending, and closing its client closes the store.
            drop(database);
            let _ = sender.send(result);
        }));
        if let Err(error) = started {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            return Err(Failure::unsent(error));
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(Failure::unanswered(Error::closed())))
    }

    /// On the store's own thread: tries until the operation is done, given up or no longer wanted.
    fn wait<T>(
        &self,
        access: Access,
        timeout: Duration,
        give_up_at: Instant,
        unwanted: impl Fn() -> bool,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            if unwanted() {
                return Err(Failure::unsent(Error::closed()));
            }
            if let Tried::Done(result) = self.attempt(ThreadOf::Worker, access, operation) {
                return result;
            }
            if Instant::now() >= give_up_at {
                return Err(Failure::unsent(Error::unavailable(format!(
                    "another process has kept the store {} locked for {timeout:?}; is one stopped in the middle of its work?",
                    self.location.address()
                ))));
            }
            thread::sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt<T>(
        &self,
        by: ThreadOf,
        access: Access,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Tried<T> {
        let mut news = Vec::new();
        let mut everybody = Vec::new();
        let attempt = {
            let inside = fork::enter();
            self.attempt_inside(&inside, by, access, operation, &mut news, &mut everybody)
        };
        if access == Access::Write && self.upkeep.count_commit() {
            let this = self.this.clone();
            let keep_up = move || {
                if let Some(database) = this.upgrade() {
                    database.upkeep.run(&database);
                }
            };
            // Where there is no thread to do it, there will be another time.
            let _ = self.worker.run(Box::new(keep_up));
        }
        // With nothing locked: who is told may use the store at once.
        for listener in everybody {
            listener(Event::Reset {
                scope: Scope::all(),
                is_new: true,
            });
        }
        for news in news {
            news.send();
        }
        attempt
    }

    fn attempt_inside<T>(
        &self,
        _: &Inside,
        by: ThreadOf,
        access: Access,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
        news: &mut Vec<News>,
        everybody: &mut Vec<Listener>,
    ) -> Tried<T> {
        let mut state = self.connection.lock();
        // Looking overtakes nothing that matters.
        let ordered = by == ThreadOf::Caller && access == Access::Write;
        if ordered && self.pending.load(Ordering::Acquire) > 0 {
            return Tried::Later;
        }
        if let ConnectionState::Inherited = *state {
            return Tried::Done(Err(Failure::unsent(Error::inherited())));
        }
        if let ConnectionState::Open(open) = &*state
            && !open.is_current(&self.location)
        {
            *state = ConnectionState::Closed;
        }
        if let ConnectionState::Closed = *state {
            // Opening takes some time, and may have to wait.
            if by == ThreadOf::Caller && matches!(self.location, Location::File(_)) {
                return Tried::Later;
            }
            match opening::open(&self.location, &self.post) {
                Ok(open) => *state = ConnectionState::Open(open),
                Err(OpenError::Sqlite(error)) if is_busy(&error) => return Tried::Later,
                Err(OpenError::Sqlite(error)) => {
                    return Tried::Done(Err(from_sqlite(&self.location, &error)));
                }
                Err(OpenError::Refused(error)) => {
                    return Tried::Done(Err(Failure::unsent(error)));
                }
            }
            if self.opened.fetch_add(1, Ordering::AcqRel) > 0 {
                *everybody = self.post.everybody();
            }
        }
        let ConnectionState::Open(open) = &*state else {
            return Tried::Later;
        };
        let result = self.transact(open, by, access, operation, news);
        match result {
            Ok(value) => Tried::Done(Ok(value)),
            Err(error) if is_busy(&error) => Tried::Later,
            Err(error) => Tried::Done(Err(from_sqlite(&self.location, &error))),
        }
    }

    fn transact<T>(
        &self,
        open: &OpenDatabase,
        by: ThreadOf,
        access: Access,
        operation: &mut impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
        news: &mut Vec<News>,
    ) -> rusqlite::Result<T> {
        let begun = Instant::now();
        let transaction = loop {
            match Transaction::begin(&open.connection, access) {
                Err(error)
                    if is_busy(&error) && by == ThreadOf::Caller && begun.elapsed() < PATIENCE =>
                {
                    thread::sleep(FIRST_PAUSE);
                }
                transaction => break transaction?,
            }
        };
        let mut work = Work {
            connection: &open.connection,
            now: Now::read(),
            post: &self.post,
            news: Vec::new(),
        };
        let value = operation(&mut work)?;
        let told = work.news;
        transaction.commit()?;
        *news = told;
        Ok(value)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let inside = fork::enter();
        let mut state = self.connection.lock();
        if let ConnectionState::Open(_) = *state {
            *state = ConnectionState::Closed;
        }
        drop(state);
        let connection: Arc<dyn Inherited> = self.connection.clone();
        fork::closed(&inside, &connection);
    }
}
