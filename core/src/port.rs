//! A client's connection on an event loop: the uncontended acquire and release of asyncio and Node, without a hop to
//! another thread. Whatever is more than that goes on as a future on the client's runtime.
//!
//! When such a connection is opened, when it is written to, when it is given up and closed is decided here. The loop only
//! does what [`Port::wants`] says.

mod several;

use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use self::several::Several;
use crate::acquire::{Attempt, First};
use crate::client::Client;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::group::LeaseGroup;
use crate::lease::Lease;
use crate::name::Name;
use crate::options::Request;
use crate::platform::BorrowedDescriptor;
use crate::releasing::{Answered, Begun, Turn};
use crate::store::{Failure, LineDone, LineStore};
use crate::sync::lock;

/// A client that acquires once does not need a second connection.
const OPEN_AFTER: u32 = 2;
/// A connection that could not be opened, or broke, is opened again no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// A timer goes off this much later than it must, so that the time has come by any clock.
const TIMER_SLACK: Duration = Duration::from_millis(1);

type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// How an operation ended on the loop's connection, or goes on elsewhere.
pub enum Done {
    /// An acquire has ended.
    Acquired(Result<Option<Lease>>),
    /// An acquire goes on: run this on the client's runtime. Dropped, it is undone.
    Acquiring(Later<Option<Lease>>),
    /// An acquire of several locks has ended.
    AcquiredAll(Result<Option<LeaseGroup>>),
    /// An acquire of several locks goes on: run this on the client's runtime. Dropped, it is undone.
    AcquiringAll(Later<Option<LeaseGroup>>),
    /// A release, of one lease or several, has ended.
    Released(Result<bool>),
    /// A release goes on: run this on the client's runtime. Dropped, it goes on in the background.
    Releasing(Later<bool>),
}

impl Done {
    /// Nobody has had what was acquired: given back, it is free at once.
    fn keep_nothing(&self) {
        match self {
            Self::Acquired(Ok(Some(lease))) => lease.holding.keep(None),
            Self::AcquiredAll(Ok(Some(group))) => {
                group.leases().iter().for_each(|it| it.holding.keep(None));
            }
            _ => {}
        }
    }
}

/// How an operation begins.
pub enum Begin<W, T> {
    /// It is under way as this number, and given back with its waiter when it ends.
    UnderWay(u64),
    /// Its end is known, or it goes on elsewhere.
    Done(W, Done),
    /// There is no connection for it.
    Elsewhere(T),
}

/// What the event loop is to do now, besides what it was told before.
#[derive(Default)]
pub struct Wants {
    /// A connection that has ended: stop watching its file descriptor, then drop it. Timers asked for before may be dropped
    /// too.
    pub ended: Option<EndedConnection>,
    /// Watch the file descriptor of [`Port::descriptor`], which is new, for reading: call [`Port::on_ready`].
    pub watch: bool,
    /// From now on, or no longer, watch it for writing too: call [`Port::on_turn`].
    pub writable: Option<bool>,
    /// Call [`Port::on_turn`] once, at the end of this turn of the loop.
    pub turn: bool,
    /// Call [`Port::on_time`] once, after this long, in addition to what was asked for before.
    pub timer: Option<Duration>,
}

/// A connection that has ended, whose file descriptor stays open until this is dropped.
pub struct EndedConnection(Box<dyn LineStore>);

impl EndedConnection {
    /// What was watched.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedDescriptor<'_> {
        self.0.descriptor()
    }
}

enum Undertaking {
    Acquire { attempt: Box<Attempt>, once: bool },
    Release(Turn),
}

/// Who waits for an operation.
enum Awaiting<W> {
    Here(W),
    /// It was abandoned; this is told when its end is known.
    Gone(oneshot::Sender<()>),
    /// It is one of several, at this place among them.
    Part {
        of: u64,
        at: usize,
    },
}

struct Open {
    store: Box<dyn LineStore>,
    /// Not all could be written.
    full: bool,
    asked: AskedOfLoop,
}

/// What the loop was asked to do with a connection: to watch it at all, for writing too, and to call `on_turn`.
#[derive(Default)]
struct AskedOfLoop {
    watched: bool,
    writable: bool,
    turning: bool,
}

/// Filled by the runtime, and looked at when there is something to send.
type Opening = Arc<Mutex<Option<Option<Result<Box<dyn LineStore>, Failure>>>>>;

/// A client's connection on one event loop, once it has one. `W` is who waits for an operation.
///
/// Not tied to a thread, but used by one at a time. After each call the loop is to do what [`wants`](Self::wants) says.
pub struct Port<W> {
    open: Option<Open>,
    /// Ended, but still watched.
    ended: Option<Box<dyn LineStore>>,
    under_way: HashMap<u64, (Undertaking, Awaiting<W>)>,
    several: HashMap<u64, Several<W>>,
    last_id: u64,
    /// How many of those under way are not abandoned.
    awaited: usize,
    /// Operations that ended together, whose waiters may be about to begin others.
    resuming: usize,
    timer: Option<Moment>,
    opening: Option<Opening>,
    /// Acquires that would have used a connection.
    missed: u32,
    not_before: Option<Moment>,
    closed: bool,
}

impl<W> Default for Port<W> {
    fn default() -> Self {
        Self {
            open: None,
            ended: None,
            under_way: HashMap::new(),
            several: HashMap::new(),
            last_id: 0,
            awaited: 0,
            resuming: 0,
            timer: None,
            opening: None,
            missed: 0,
            not_before: None,
            closed: false,
        }
    }
}

impl<W> Port<W> {
    /// Whether there is a connection. Where there is reason to, one is opened for later, on the client's runtime.
    pub fn connect(&mut self, client: &Client) -> bool {
        if self.open.is_some() {
            return true;
        }
        if let Some(opening) = &self.opening {
            let Some(opened) = lock(opening).take() else {
                return false;
            };
            self.opening = None;
            match opened {
                Some(Ok(store)) => {
                    self.open = Some(Open {
                        store,
                        full: false,
                        asked: AskedOfLoop::default(),
                    });
                }
                Some(Err(_)) => self.not_before = Some(Moment::now() + REOPEN_AFTER),
                // There can be none.
                None => self.closed = true,
            }
            return self.open.is_some();
        }
        if self.closed {
            return false;
        }
        self.missed = self.missed.saturating_add(1);
        if self.missed >= OPEN_AFTER && self.not_before.is_none_or(Moment::is_past) {
            let opening = Opening::default();
            self.opening = Some(opening.clone());
            let inner = client.inner.clone();
            client.inner.spawn(async move {
                let opened = match inner.store.quick() {
                    Some(quick) => quick.open_line().await,
                    None => None,
                };
                *lock(&opening) = Some(opened);
            });
        }
        false
    }

    /// Begins an acquire; `waiter` is made with its number.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) and [`ClientClosed`](crate::ErrorKind::ClientClosed).
    pub fn acquire(
        &mut self,
        client: &Client,
        request: Request,
        once: bool,
        waiter: impl FnOnce(u64) -> W,
    ) -> Result<Begin<W, Request>> {
        if self.open.is_none() {
            return Ok(Begin::Elsewhere(request));
        }
        let request = if once {
            request.without_wait()
        } else {
            request
        };
        let mut attempt = Box::new(Attempt::new(&client.inner, request)?);
        let id = self.next_id();
        if attempt.is_behind_own_waiters() {
            return Ok(Begin::Done(waiter(id), acquiring(attempt, once)));
        }
        let is_alone = self.begins_alone();
        if let Some(open) = &mut self.open {
            let limit = attempt.first_limit();
            let (claim, ttl) = attempt.first();
            open.store.take(id, claim, ttl, limit);
            open.write(is_alone);
        }
        let operation = Undertaking::Acquire { attempt, once };
        self.begun(id, operation, waiter(id));
        Ok(Begin::UnderWay(id))
    }

    /// Begins to release a lease; `waiter` is made with its number.
    pub fn release(&mut self, lease: &Arc<Lease>, waiter: impl FnOnce(u64) -> W) -> Begin<W, ()> {
        if self.open.is_none() {
            return Begin::Elsewhere(());
        }
        let id = self.next_id();
        let mut turn = match lease.begin_release() {
            Begun::Known(gave_back) => {
                return Begin::Done(waiter(id), Done::Released(Ok(gave_back)));
            }
            Begun::Busy => {
                let lease = lease.clone();
                let release = async move { lease.release().await };
                return Begin::Done(waiter(id), Done::Releasing(Box::pin(release)));
            }
            Begun::Turn(turn) if turn.is_later() => {
                let release = async move { turn.send(false).await };
                return Begin::Done(waiter(id), Done::Releasing(Box::pin(release)));
            }
            Begun::Turn(turn) => turn,
        };
        let is_alone = self.begins_alone();
        if let Some(open) = &mut self.open {
            open.store.release(id, turn.request());
            open.write(is_alone);
        }
        self.begun(id, Undertaking::Release(turn), waiter(id));
        Begin::UnderWay(id)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn begun(&mut self, id: u64, operation: Undertaking, waiter: W) {
        self.under_way
            .insert(id, (operation, Awaiting::Here(waiter)));
        self.awaited += 1;
    }

    /// Nobody waits for the operation `id` any more: what it gets is given back when that is known. Returns its waiter, and
    /// what completes then; `None` when it has ended.
    pub fn abandon(&mut self, id: u64) -> Option<(W, oneshot::Receiver<()>)> {
        let waiter = match self.under_way.get_mut(&id) {
            Some((_, waiter)) => waiter,
            None => &mut self.several.get_mut(&id)?.waiter,
        };
        if let Awaiting::Gone(_) = waiter {
            return None;
        }
        let (sender, over) = oneshot::channel();
        let Awaiting::Here(waiter) = mem::replace(waiter, Awaiting::Gone(sender)) else {
            return None;
        };
        self.awaited -= 1;
        Some((waiter, over))
    }

    /// The connection can be read, or has ended. What has ended by that, in order.
    #[must_use]
    pub fn on_ready(&mut self) -> Vec<(W, Done)> {
        let mut ended = Vec::new();
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        let failure = open.store.read(&mut ended).err();
        // A script that the server did not know is asked for again.
        if open.store.is_unwritten() && !open.full {
            open.flush();
        }
        self.settle(ended, failure)
    }

    /// The loop's turn is at its end, or the connection can be written to.
    pub fn on_turn(&mut self) {
        self.resuming = 0;
        if let Some(open) = &mut self.open {
            open.asked.turning = false;
            open.flush();
        }
    }

    /// The time of [`Wants::timer`] has come. What has ended by that.
    #[must_use]
    pub fn on_time(&mut self) -> Vec<(W, Done)> {
        self.timer = None;
        let mut ended = Vec::new();
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        // What has arrived is read first: a loop that was blocked has not met a silent server.
        let read = open.store.read(&mut ended);
        let failure = read.and_then(|()| open.store.look_for_silence(&mut ended));
        self.settle(ended, failure.err())
    }

    /// The loop cannot watch the connection: there will be none.
    #[must_use]
    pub fn refuse(&mut self) -> Vec<(W, Done)> {
        self.closed = true;
        let error = Error::unavailable("the event loop cannot watch a socket");
        if let Some(open) = &mut self.open {
            open.asked.watched = false;
        }
        self.settle(Vec::new(), Some(Failure::unanswered(error)))
    }

    fn settle(&mut self, ended: Vec<(u64, LineDone)>, failure: Option<Failure>) -> Vec<(W, Done)> {
        let mut done = Vec::with_capacity(ended.len());
        for (id, ended) in ended {
            if let Some((operation, waiter)) = self.under_way.remove(&id) {
                self.end(operation, waiter, ended, &mut done);
            }
        }
        if let Some(failure) = failure {
            self.not_before = Some(Moment::now() + REOPEN_AFTER);
            self.disconnect();
            self.fail_all(&failure, &mut done);
        } else if self.closed && self.under_way.is_empty() {
            self.disconnect();
        }
        self.resuming = done.len();
        done
    }

    fn end(
        &mut self,
        operation: Undertaking,
        waiter: Awaiting<W>,
        ended: LineDone,
        done: &mut Vec<(W, Done)>,
    ) {
        let end = come_to(operation, ended);
        self.told(waiter, end, done);
    }

    fn told(&mut self, waiter: Awaiting<W>, end: Done, done: &mut Vec<(W, Done)>) {
        match waiter {
            Awaiting::Part { of, at } => {
                if let Some((waiter, end)) = self.end_part(of, at, end) {
                    self.told(waiter, end, done);
                }
            }
            Awaiting::Here(waiter) => {
                self.awaited -= 1;
                done.push((waiter, end));
            }
            Awaiting::Gone(over) => {
                // A lease that nobody wants is given back by being dropped; then whoever waits for that is told.
                end.keep_nothing();
                drop(end);
                let _ = over.send(());
            }
        }
    }

    /// Ends all that is under way, in the order in which it was begun, as failed.
    fn fail_all(&mut self, failure: &Failure, done: &mut Vec<(W, Done)>) {
        let mut rest: Vec<_> = self.under_way.drain().collect();
        rest.sort_unstable_by_key(|(id, _)| *id);
        for (_, (operation, waiter)) in rest {
            let ended = match operation {
                Undertaking::Acquire { .. } => LineDone::Asked(Err(failure.clone())),
                Undertaking::Release(_) => LineDone::Released(Err(failure.clone())),
            };
            self.end(operation, waiter, ended, done);
        }
    }

    fn disconnect(&mut self) {
        self.timer = None;
        if let Some(open) = self.open.take()
            && open.asked.watched
        {
            self.ended = Some(open.store);
        }
    }

    /// What the loop is to do now.
    #[must_use]
    pub fn wants(&mut self) -> Wants {
        let mut wants = Wants {
            ended: self.ended.take().map(EndedConnection),
            ..Wants::default()
        };
        let Some(open) = &mut self.open else {
            return wants;
        };
        wants.watch = !mem::replace(&mut open.asked.watched, true);
        if open.full != open.asked.writable {
            open.asked.writable = open.full;
            wants.writable = Some(open.full);
        }
        if open.store.is_unwritten() && !open.full {
            wants.turn = !mem::replace(&mut open.asked.turning, true);
        }
        if let Some(due) = open.store.next_timeout()
            && self.timer.is_none_or(|set| due < set)
        {
            self.timer = Some(due);
            wants.timer = Some(due.remaining() + TIMER_SLACK);
        }
        wants
    }

    /// Whether what begins now is likely to be all that begins in this turn of the loop; then its end need not be awaited.
    fn begins_alone(&mut self) -> bool {
        let is_alone = self.under_way.is_empty() && self.resuming <= 1;
        self.resuming = self.resuming.saturating_sub(1);
        is_alone
    }

    /// The file descriptor to watch, if there is a connection.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        self.open.as_ref().map(|open| open.store.descriptor())
    }

    /// Whether somebody waits for something that is under way.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.awaited > 0
    }

    /// Nothing more begins; the connection ends when what is under way has ended.
    pub fn close(&mut self) {
        self.closed = true;
        self.opening = None;
        if self.under_way.is_empty() {
            self.disconnect();
        }
    }

    /// Whether it was closed, and nothing is left of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.closed && self.open.is_none()
    }
}

impl Open {
    /// Sees that what was begun is written: now, or at the end of the turn, with all else that begins in it.
    fn write(&mut self, now: bool) {
        if now {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.full = !self.store.flush();
    }
}

fn come_to(operation: Undertaking, ended: LineDone) -> Done {
    match (operation, ended) {
        (Undertaking::Acquire { mut attempt, once }, LineDone::Asked(asked)) => {
            match attempt.on_first(asked) {
                Ok(First::Acquired(lease)) => Done::Acquired(Ok(Some(lease))),
                Ok(First::Held) => Done::Acquired(or_held(Ok(None), once, &attempt.name())),
                Ok(First::Undecided) => acquiring(attempt, once),
                Err(error) => Done::Acquired(Err(error)),
            }
        }
        (Undertaking::Release(turn), LineDone::Released(released)) => match turn.answered(released)
        {
            Answered::Done(result) => Done::Released(result),
            Answered::Again { turn, unanswered } => {
                Done::Releasing(Box::pin(turn.send(unanswered)))
            }
        },
        // A connection answers each operation in kind; were it not so, the operation is undone by being dropped.
        (Undertaking::Acquire { .. }, LineDone::Released(_)) => Done::Acquired(Err(mixed_up())),
        (Undertaking::Release(turn), LineDone::Asked(_)) => {
            Done::Releasing(Box::pin(turn.send(true)))
        }
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
fn or_held(result: Result<Option<Lease>>, once: bool, name: &Name) -> Result<Option<Lease>> {
    match result {
        Ok(None) if !once => Err(Error::held(name)),
        result => result,
    }
}

fn mixed_up() -> Error {
    Error::unavailable("the connection mixed up its replies")
}

impl<W> Drop for Port<W> {
    fn drop(&mut self) {
        let error = Error::unavailable("the event loop has ended");
        // Dropped, an acquire is undone and a release goes on, both in the background.
        self.fail_all(&Failure::unanswered(error), &mut Vec::new());
    }
}
