//! A client's line on its event loop: uncontended acquires and releases, written and read in JavaScript's own thread.
//!
//! What is begun in one turn of the loop is written at once at its end, and what arrives together is delivered together.
//! Whatever is more than one answered command goes on through the mailbox, under the same number.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leaselock::line::{Done, Line};
use leaselock::{Client, Lease, Request};
use napi::Env;
use napi::bindgen_prelude::FunctionRef;
use tokio::sync::oneshot;

use crate::lease;
use crate::logs::Subscription;
use crate::mailbox::{Deliver, Delivery};
use crate::outcome::{Completions, Outcome};
use crate::uv::{EventLoop, Watch, Watcher};

/// A client that acquires once does not need a second connection.
const OPEN_AFTER: u32 = 2;
/// A line that could not be opened is tried again no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Where the lines of one JavaScript thread are, and whom they deliver to.
pub(crate) struct Platform {
    event_loop: Rc<EventLoop>,
    deliver: FunctionRef<Delivery, ()>,
}

impl Platform {
    pub(crate) fn new(env: &Env, deliver: &Deliver<'_>) -> napi::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            event_loop: EventLoop::new(env)?,
            deliver: deliver.create_ref()?,
        }))
    }
}

/// The line of one client, once it has one.
pub(crate) struct ClientLine {
    platform: Rc<Platform>,
    source: Arc<Subscription>,
    state: RefCell<State>,
    /// JavaScript runs in a callback of this line, after which everything is written.
    delivering: Cell<bool>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// Operations on the line that somebody waits for.
    live: HashSet<u32>,
    /// Acquires on the line that were aborted, and whom to tell when they are over.
    aborted: HashMap<u32, oneshot::Sender<()>>,
    /// When the timer goes off.
    timer: Option<Instant>,
    opening: Option<Arc<Opening>>,
    /// Acquires that would have used it.
    missed: u32,
    not_before: Option<Instant>,
    closed: bool,
    /// Closed, it lives until what is under way has ended.
    itself: Option<Rc<ClientLine>>,
}

/// The watch goes first: a file descriptor must not be closed while it is watched.
struct Open {
    watch: Watch,
    line: Line,
}

/// Filled by the runtime's thread, and looked at when there is something to send.
#[derive(Default)]
struct Opening(Mutex<Option<leaselock::Result<Option<Line>>>>);

impl ClientLine {
    pub(crate) fn new(platform: Rc<Platform>, source: Arc<Subscription>) -> Rc<Self> {
        Rc::new(Self {
            platform,
            source,
            state: RefCell::default(),
            delivering: Cell::new(false),
        })
    }

    /// Begins an acquire: its number, or why it was refused. `Err`: there is no line for it.
    pub(crate) fn acquire(
        self: &Rc<Self>,
        env: &Env,
        core: &Client,
        request: Request,
        once: bool,
    ) -> Result<leaselock::Result<u32>, Request> {
        if !self.is_open(core, &request) {
            return Err(request);
        }
        self.begin(env, request, |line, op, request| {
            line.acquire(op, request, once)
        })
    }

    /// Begins to release a lease: its number; `None` where there is no line for it.
    pub(crate) fn release(&self, env: &Env, lease: &Arc<Lease>) -> Option<u32> {
        let begun = self.begin(env, lease, |line, op, lease| Ok(line.release(op, lease)));
        begun.ok()?.ok()
    }

    fn begin<T>(
        &self,
        env: &Env,
        what: T,
        begin: impl FnOnce(&mut Line, u64, T) -> leaselock::Result<Option<Done>>,
    ) -> Result<leaselock::Result<u32>, T> {
        let mut state = self.state.borrow_mut();
        let Some(Open { watch, line }) = &mut state.open else {
            return Err(what);
        };
        let op = self.source.mailbox.number();
        let is_first = line.is_idle();
        match begin(line, op.into(), what) {
            Ok(None) => {
                self.write(watch, line, is_first);
                state.live.insert(op);
                state.set_timer();
            }
            Ok(Some(done)) => {
                drop(state);
                if let Some(known) = self.go_on(env, op, done) {
                    self.source.mailbox.submit_as(env, op, async { known });
                }
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(op))
    }

    /// Stops an acquire on the line: nothing more is delivered for it, and what it may have taken is given back when its
    /// answer comes, which the receiver waits for. `None`: it is not on the line.
    pub(crate) fn cancel(&self, op: u32) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.borrow_mut();
        if !state.live.remove(&op) {
            return None;
        }
        let (over, wait) = oneshot::channel();
        state.aborted.insert(op, over);
        let idle = state.tidy();
        drop(state);
        drop(idle);
        Some(wait)
    }

    /// Nothing more begins on the line; it ends when what is under way has ended.
    pub(crate) fn close(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.opening = None;
        let idle = state.tidy();
        state.itself = state.open.is_some().then(|| self.clone());
        drop(state);
        drop(idle);
    }

    /// Whether there is a line; for later, one is opened when there is reason to.
    fn is_open(self: &Rc<Self>, core: &Client, request: &Request) -> bool {
        let mut state = self.state.borrow_mut();
        if state.open.is_some() {
            return true;
        }
        if let Some(opening) = &state.opening {
            let Some(opened) = opening.take() else {
                return false;
            };
            state.opening = None;
            match opened {
                Ok(Some(line)) => {
                    let watch = Watch::new(&self.platform.event_loop, line.fd(), self);
                    state.timer = None;
                    state.open = watch.ok().map(|watch| Open { watch, line });
                }
                // There can be none.
                Ok(None) => state.closed = true,
                Err(_) => state.not_before = Instant::now().checked_add(REOPEN_AFTER),
            }
            return state.open.is_some();
        }
        // What is refused needs no connection at all.
        if state.closed || core.check_request(request).is_err() {
            return false;
        }
        state.missed = state.missed.saturating_add(1);
        if state.missed >= OPEN_AFTER && state.not_before.is_none_or(|at| at <= Instant::now()) {
            let opening = Arc::new(Opening::default());
            state.opening = Some(opening.clone());
            let core = core.clone();
            self.source.mailbox.runtime().spawn(async move {
                let opened = core.line().await;
                opening.put(opened);
            });
        }
        false
    }

    /// Sees that what was begun is written: at once when nothing else is under way, otherwise with all that begins in the
    /// same turn of the loop.
    fn write(&self, watch: &Watch, line: &mut Line, is_first: bool) {
        watch.keep_alive(true);
        if self.delivering.get() {
            return;
        }
        if is_first {
            watch.watch_writable(!line.flush());
        } else {
            watch.tell_before_waiting(true);
        }
    }

    fn flush(&self) {
        if let Some(Open { watch, line }) = &mut self.state.borrow_mut().open {
            watch.tell_before_waiting(false);
            watch.watch_writable(!line.flush());
        }
    }

    /// What an operation that somebody waits for has come to, if it has ended; otherwise it goes on by the mailbox.
    #[must_use]
    fn go_on(&self, env: &Env, op: u32, done: Done) -> Option<Outcome> {
        let source = self.source.clone();
        match done {
            Done::Acquired(result) => return Some(lease::outcome(result, source)),
            Done::Released(result) => return Some(result.into()),
            Done::Acquiring(later) => {
                let later = async move { lease::outcome(later.await, source) };
                self.source.mailbox.submit_as(env, op, later);
            }
            Done::Releasing(later) => self.source.mailbox.submit_as(env, op, later),
        }
        None
    }

    /// Delivers what has ended to those who wait for it.
    fn settle(&self, mut state: RefMut<'_, State>, done: Vec<(u64, Done)>) -> Option<Open> {
        let env = self.platform.event_loop.env();
        let mut ended = Vec::with_capacity(done.len());
        let mut unwanted = Vec::new();
        for (id, done) in done {
            // Numbers come from operations, which have 32 bits.
            #[allow(clippy::cast_possible_truncation)]
            let op = id as u32;
            if state.live.remove(&op) {
                ended.push((op, done));
            } else {
                unwanted.push((done, state.aborted.remove(&op)));
            }
        }
        let idle = state.tidy();
        state.set_timer();
        if state.open.is_none() {
            state.itself = None;
        }
        drop(state);
        // A lease that nobody wants is given back by being dropped; then whoever waits for that is told.
        drop(unwanted);
        let mut completions = Completions::default();
        for (op, done) in ended {
            if let Some(outcome) = self.go_on(env, op, done) {
                completions.add(op, outcome);
            }
        }
        self.deliver(completions);
        idle
    }

    fn deliver(&self, completions: Completions) {
        if completions.is_empty() {
            return;
        }
        let Completions { ops, values } = completions;
        self.delivering.set(true);
        self.platform.event_loop.run(|env| {
            // The face throws nothing. It cannot be called where a worker is being terminated, when nobody waits.
            let _ = self
                .platform
                .deliver
                .borrow_back(env)
                .and_then(|deliver| deliver.call((ops, values, Vec::new()).into()));
        });
        self.delivering.set(false);
    }
}

impl Watcher for ClientLine {
    fn ready(&self) {
        let mut state = self.state.borrow_mut();
        let Some(open) = &mut state.open else {
            return;
        };
        let done = open.line.on_readable();
        let broken = if open.line.is_broken() {
            state.open.take()
        } else {
            None
        };
        let idle = self.settle(state, done);
        drop((broken, idle));
        self.flush();
    }

    fn before_waiting(&self) {
        self.flush();
    }

    fn time_out(&self) {
        let mut state = self.state.borrow_mut();
        state.timer = None;
        let Some(open) = &mut state.open else {
            return;
        };
        let ended = open.line.give_up();
        let idle = self.settle(state, ended);
        drop(idle);
        self.flush();
    }

    fn end(&self) {
        let mut state = self.state.borrow_mut();
        let ended = mem::take(&mut *state);
        state.closed = true;
        drop(state);
        // What is under way is undone, or goes on, in the background.
        drop(ended);
    }
}

impl State {
    /// After operations have ended: keeps the process alive only for those that somebody waits for. A line that is to
    /// be closed and has nothing left to do is returned.
    fn tidy(&mut self) -> Option<Open> {
        let open = self.open.as_ref()?;
        open.watch.keep_alive(!self.live.is_empty());
        if self.closed && open.line.is_idle() {
            return self.open.take();
        }
        None
    }

    /// Sees that acquires with a short wait are given up in time.
    fn set_timer(&mut self) {
        let Some(Open { watch, line }) = &self.open else {
            return;
        };
        let Some(time) = line.gives_up_in() else {
            return;
        };
        // Rounded up, so that the time has come when the timer goes off.
        let time = time + Duration::from_millis(1);
        let at = Instant::now() + time;
        if self.timer.is_none_or(|set| at < set) {
            self.timer = Some(at);
            watch.tell_in(time);
        }
    }
}

impl Opening {
    fn take(&self) -> Option<leaselock::Result<Option<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, opened: leaselock::Result<Option<Line>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }
}
