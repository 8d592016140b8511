//! A client's connection on its event loop: uncontended acquires and releases, written and read in JavaScript's own
//! thread.
//!
//! The core's port decides when that is opened, written to, given up and closed; what it wants of the loop is passed on to
//! libuv here. Whatever is more than one answered command goes on through the mailbox, under the same number.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::mem::{self, ManuallyDrop};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use leaselock::port::{Begin, Done, Port};
use leaselock::{Client, GroupRequest, Lease, LeaseGroup, Request};
use napi::Env;
use napi::bindgen_prelude::FunctionRef;
use tokio::sync::oneshot;

use crate::group;
use crate::lease;
use crate::logs::Subscription;
use crate::mailbox::{Deliver, Delivery};
use crate::outcome::{Completions, Outcome};
use crate::uv::{EventLoop, Watch, Watcher};

/// Where the lines of one JavaScript thread are, and whom they deliver to.
pub(crate) struct Platform {
    event_loop: Rc<EventLoop>,
    deliver: FunctionRef<Delivery, ()>,
}

impl Platform {
    /// `None` where the event loop is not one that lines can be on.
    pub(crate) fn new(env: &Env, deliver: &Deliver<'_>) -> napi::Result<Option<Rc<Self>>> {
        let Some(event_loop) = EventLoop::new(env)? else {
            return Ok(None);
        };
        let deliver = deliver.create_ref()?;
        Ok(Some(Rc::new(Self {
            event_loop,
            deliver,
        })))
    }
}

/// The port of one client, driven by libuv. Its state is not borrowed while JavaScript runs.
pub(crate) struct ClientLine {
    platform: Rc<Platform>,
    source: Arc<Subscription>,
    state: RefCell<State>,
}

/// The watch goes first: a file descriptor must not be closed while it is watched.
#[derive(Default)]
struct State {
    watch: Option<Watch>,
    /// Operations wait by the numbers that the mailbox gave them.
    port: Port<u32>,
    /// The port's own numbers of those.
    ids: HashMap<u32, u64>,
    /// Closed, the line lives until what is under way has ended.
    itself: Option<Rc<ClientLine>>,
}

impl ClientLine {
    pub(crate) fn new(platform: Rc<Platform>, source: Arc<Subscription>) -> Rc<Self> {
        let this = Rc::new(Self {
            platform,
            source,
            state: RefCell::default(),
        });
        LINES.with(|lines| lines.borrow_mut().push(Rc::downgrade(&this)));
        this
    }

    /// Begins an acquire: its number, or why it was refused. `Err`: there is no connection for it.
    #[allow(clippy::result_large_err, reason = "the request is handed on at once")]
    pub(crate) fn acquire(
        self: &Rc<Self>,
        env: &Env,
        core: &Client,
        request: Request,
        once: bool,
    ) -> Result<leaselock::Result<u32>, Request> {
        let op = self.source.mailbox.number();
        let mut state = self.connected(core);
        match state.port.acquire(core, request, once, |_| op) {
            Ok(start) => self.started(env, state, op, start).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Begins an acquire of several locks, as [`acquire`](Self::acquire) does.
    pub(crate) fn acquire_all(
        self: &Rc<Self>,
        env: &Env,
        core: &Client,
        request: GroupRequest,
        once: bool,
    ) -> Result<leaselock::Result<u32>, GroupRequest> {
        let op = self.source.mailbox.number();
        let mut state = self.connected(core);
        match state.port.acquire_all(core, request, once, |_| op) {
            Ok(start) => self.started(env, state, op, start).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// With a connection, where there can be one by now.
    fn connected(self: &Rc<Self>, core: &Client) -> RefMut<'_, State> {
        let mut state = self.state.borrow_mut();
        if state.port.connect(core) && state.watch.is_none() {
            // Before anything is under way: the loop may refuse to watch it.
            self.arrange(&mut state);
        }
        state
    }

    /// Begins to release a group: its number; `None` where there is no connection for it.
    pub(crate) fn release_all(self: &Rc<Self>, env: &Env, group: &Arc<LeaseGroup>) -> Option<u32> {
        let op = self.source.mailbox.number();
        let mut state = self.state.borrow_mut();
        let start = state.port.release_all(group, |_| op);
        self.started(env, state, op, start).ok()
    }

    /// Begins to release a lease: its number; `None` where there is no connection for it.
    pub(crate) fn release(self: &Rc<Self>, env: &Env, lease: &Arc<Lease>) -> Option<u32> {
        let op = self.source.mailbox.number();
        let mut state = self.state.borrow_mut();
        let start = state.port.release(lease, |_| op);
        self.started(env, state, op, start).ok()
    }

    fn started<T>(
        self: &Rc<Self>,
        env: &Env,
        mut state: RefMut<'_, State>,
        op: u32,
        start: Begin<u32, T>,
    ) -> Result<u32, T> {
        match start {
            Begin::UnderWay(id) => {
                state.ids.insert(op, id);
                self.arrange(&mut state);
            }
            Begin::Done(_, done) => {
                drop(state);
                if let Some(known) = self.go_on(env, op, done) {
                    self.source.mailbox.submit_as(env, op, async { known });
                }
            }
            Begin::Elsewhere(what) => return Err(what),
        }
        Ok(op)
    }

    /// Stops an acquire on the connection: nothing more is delivered for it, and what it may have taken is given back when
    /// its answer comes, which the receiver waits for. `None`: it is not under way there.
    pub(crate) fn cancel(self: &Rc<Self>, op: u32) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.borrow_mut();
        let id = state.ids.remove(&op)?;
        let (_, over) = state.port.abandon(id)?;
        self.arrange(&mut state);
        Some(over)
    }

    /// Nothing more begins on the connection; it ends when what is under way has ended.
    pub(crate) fn close(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        state.port.close();
        state.itself = Some(self.clone());
        self.arrange(&mut state);
    }

    /// Does what the port wants of the loop.
    fn arrange(self: &Rc<Self>, state: &mut State) {
        let State { watch, port, .. } = state;
        let wants = port.wants();
        if wants.ended.is_some() {
            *watch = None;
        }
        drop(wants.ended);
        if wants.watch
            && let Some(socket) = port.descriptor()
        {
            *watch = Watch::new(&self.platform.event_loop, socket, self).ok();
            if watch.is_none() {
                // Nothing can be under way on a connection that has just been made.
                drop(port.refuse());
            }
        }
        if let Some(watch) = watch {
            if let Some(writable) = wants.writable {
                watch.watch_writable(writable);
            }
            if wants.turn {
                watch.tell_before_waiting();
            }
            if let Some(time) = wants.timer {
                watch.tell_in(time);
            }
            watch.keep_alive(port.is_awaited());
        }
        if port.is_over() {
            // Never the last reference: `self` is one.
            state.itself = None;
        }
    }

    /// Takes a step of the port, delivers what has ended by that, and writes what JavaScript has begun meanwhile.
    fn take(self: &Rc<Self>, step: impl FnOnce(&mut Port<u32>) -> Vec<(u32, Done)>) {
        let mut state = self.state.borrow_mut();
        let ended = step(&mut state.port);
        for (op, _) in &ended {
            state.ids.remove(op);
        }
        self.arrange(&mut state);
        drop(state);
        self.deliver(ended);
        let mut state = self.state.borrow_mut();
        state.port.on_turn();
        self.arrange(&mut state);
    }

    /// What an operation has come to, if it has ended; otherwise it goes on by the mailbox.
    #[must_use]
    fn go_on(&self, env: &Env, op: u32, done: Done) -> Option<Outcome> {
        let source = self.source.clone();
        match done {
            Done::Acquired(result) => return Some(lease::outcome(result, source)),
            Done::AcquiredAll(result) => return Some(group::outcome(result, source)),
            Done::Released(result) => return Some(result.into()),
            Done::Acquiring(later) => {
                let later = async move { lease::outcome(later.await, source) };
                self.source.mailbox.submit_as(env, op, later);
            }
            Done::AcquiringAll(later) => {
                let later = async move { group::outcome(later.await, source) };
                self.source.mailbox.submit_as(env, op, later);
            }
            Done::Releasing(later) => self.source.mailbox.submit_as(env, op, later),
        }
        None
    }

    fn deliver(&self, ended: Vec<(u32, Done)>) {
        let event_loop = &self.platform.event_loop;
        let mut completions = Completions::default();
        for (op, done) in ended {
            if let Some(outcome) = self.go_on(event_loop.env(), op, done) {
                completions.add(op, outcome);
            }
        }
        if completions.is_empty() {
            return;
        }
        let Completions { ops, values } = completions;
        event_loop.run(|env| {
            // The face throws nothing. It cannot be called where a worker is being terminated, when nobody waits.
            let _ = self
                .platform
                .deliver
                .borrow_back(env)
                .and_then(|deliver| deliver.call((ops, values, Vec::new()).into()));
        });
    }
}

impl Drop for ClientLine {
    fn drop(&mut self) {
        LINES.with(|lines| {
            let mut lines = lines.borrow_mut();
            lines.retain(|line| line.strong_count() > 0);
            if lines.is_empty() {
                // Nothing else frees it when the thread ends.
                *lines = Vec::new();
            }
        });
    }
}

thread_local! {
    /// The lines of this thread. Nothing is dropped with the thread, so that it can be used at the very end of the process.
    static LINES: ManuallyDrop<RefCell<Vec<Weak<ClientLine>>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

/// Ends the lines of this thread, whose event loop turns no more: what is under way is undone in the background.
pub(crate) fn end_all() {
    let lines = LINES.with(|lines| lines.borrow().clone());
    for line in lines.iter().filter_map(Weak::upgrade) {
        let Ok(mut state) = line.state.try_borrow_mut() else {
            continue;
        };
        let State { watch, port, .. } = mem::take(&mut *state);
        state.port.close();
        drop(state);
        drop(port);
        // libuv has been shut down, and nothing is asked of it any more.
        mem::forget(watch);
    }
}

impl Watcher for ClientLine {
    fn ready(self: Rc<Self>) {
        self.take(Port::on_ready);
    }

    fn before_waiting(self: Rc<Self>) {
        let mut state = self.state.borrow_mut();
        state.port.on_turn();
        self.arrange(&mut state);
    }

    fn time_out(self: Rc<Self>) {
        self.take(Port::on_time);
    }

    fn end(self: Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let ended = mem::take(&mut *state);
        state.port.close();
        drop(state);
        // What is under way is undone, or goes on, in the background.
        drop(ended);
    }
}
