//! A client's line on one event loop: uncontended acquires and releases that the loop's own thread sends and receives.
//!
//! What is begun in one turn of the loop is written together, and what arrives together is completed together. Whatever
//! is more than one answered command goes on on the runtime, for the same awaiting task.

use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};

use leaselock::line::{self as core, Done};
use leaselock::{Client, Lease, Request};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::bridge::{Bridge, Item, Ready, complete};
use super::lease::{AsyncLeaseCore, finish_release};
use super::open::{Due, Open, State, Waiting};
use super::operation::{Abandoned, Operation, Slot, go_on, outcome};
use crate::errors;
use crate::process::{self, Own, lock};

/// The line of one client on one event loop, once it has one. Nothing of Python is called while the state is locked.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct Line {
    client: u64,
    event_loop: Py<PyWeakrefReference>,
    /// Whom to tell that a client that was closed has nothing under way any more.
    ready: Own<Arc<Ready>>,
    state: Own<Mutex<State>>,
}

impl Line {
    pub(super) fn new(client: u64, event_loop: Py<PyWeakrefReference>, ready: Arc<Ready>) -> Self {
        Self {
            client,
            event_loop,
            ready: Own::new(ready),
            state: Own::new(Mutex::default()),
        }
    }

    /// Begins an acquire; gives the request back where there is no line for it.
    pub(super) fn acquire(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        client: &Client,
        request: Request,
        once: bool,
    ) -> PyResult<Result<Operation, Request>> {
        if Self::is_open(slf, client)? {
            Self::begin(slf, bridge, request, |line, id, request| {
                line.acquire(id, request, once)
            })
        } else {
            Ok(Err(request))
        }
    }

    /// Begins to release a lease; `None` where there is no line for it.
    pub(super) fn release(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        lease: &Arc<Lease>,
    ) -> PyResult<Option<Operation>> {
        let begun = Self::begin(slf, bridge, (), |line, id, ()| Ok(line.release(id, lease)));
        Ok(begun?.ok())
    }

    fn begin<T>(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        what: T,
        send: impl FnOnce(&mut core::Line, u64, T) -> leaselock::Result<Option<Done>>,
    ) -> PyResult<Result<Operation, T>> {
        let (this, py) = (slf.get(), slf.py());
        let Some(own) = this.state.get() else {
            return Ok(Err(what));
        };
        if lock(own).open.is_none() {
            return Ok(Err(what));
        }
        let future = bridge.get().future(py)?;
        let (begun, slot, due) = {
            let mut state = lock(own);
            let State {
                open: Some(open),
                last,
                waiting,
                ..
            } = &mut *state
            else {
                return Ok(Err(what));
            };
            *last += 1;
            let id = *last;
            let is_alone = open.is_alone();
            let begun = send(&mut open.line, id, what);
            let slot = Slot::on_line(slf.clone().unbind(), id);
            let mut due = Due::default();
            if let Ok(None) = begun {
                let waits = Waiting {
                    bridge: bridge.clone().unbind(),
                    future: future.clone().unbind(),
                    slot: slot.clone(),
                };
                waiting.insert(id, waits);
                open.write(is_alone, &mut due);
                open.set_timer(&mut due);
            }
            (begun, slot, due)
        };
        match begun.map_err(|error| errors::raise(py, &error))? {
            None => Self::arrange(slf, due)?,
            Some(done) => this.settle(bridge, &future, &slot, done)?,
        }
        Operation::new(bridge, &future, slot).map(Ok)
    }

    /// Nobody waits for this operation any more. What it gets is dropped when it is known, and with it undone.
    pub(super) fn forget(&self, id: u64) {
        if let Some(own) = self.state.get() {
            let waiting = lock(own).waiting.remove(&id);
            drop(waiting);
        }
    }

    /// Nothing more begins on the line; it ends when what is under way has ended. Tells whether it has.
    pub(super) fn close(&self, py: Python<'_>) -> bool {
        let Some(own) = self.state.get() else {
            return true;
        };
        let (ended, opening) = {
            let mut state = lock(own);
            state.closed = true;
            (state.take_idle(), state.opening.take())
        };
        drop(opening);
        if let Some(open) = ended {
            self.end(py, open);
        }
        lock(own).open.is_none()
    }

    /// The loop has ended: what is under way is undone, or goes on, in the background.
    pub(super) fn shut(&self, py: Python<'_>) {
        if let Some(own) = self.state.get() {
            let mut state = mem::take(&mut *lock(own));
            lock(own).closed = true;
            if let Some(open) = state.open.take() {
                self.end(py, open);
            }
            drop(state);
        }
    }

    /// Whether there is a line; for later, one is opened when there is reason to.
    fn is_open(slf: &Bound<'_, Self>, client: &Client) -> PyResult<bool> {
        let Some(own) = slf.get().state.get() else {
            return Ok(false);
        };
        let opened = {
            let mut state = lock(own);
            if state.open.is_some() {
                return Ok(true);
            }
            let Some(opened) = state.opened() else {
                if !state.wants_line() {
                    return Ok(false);
                }
                let opening = state.begin_opening();
                drop(state);
                let client = client.clone();
                process::current().runtime(slf.py())?.submit(async move {
                    let opened = client.line().await;
                    opening.put(opened);
                });
                return Ok(false);
            };
            opened
        };
        let fd = opened.fd().as_raw_fd();
        let on_readable = slf.getattr("on_readable")?;
        let event_loop = slf.get().event_loop(slf.py())?;
        // What cannot be watched is dropped: everything goes by the runtime then.
        let watched = event_loop.call_method1("add_reader", (fd, on_readable));
        let mut state = lock(own);
        state.closed |= watched.is_err();
        state.open = watched.is_ok().then(|| Open::new(opened, fd));
        Ok(state.open.is_some())
    }

    /// Ends a connection: its file descriptor must not be closed while it is watched.
    fn end(&self, py: Python<'_>, open: Open) {
        if let Err(error) = self.unwatch(py, open.fd) {
            error.write_unraisable(py, None);
        }
        drop(open);
    }

    fn unwatch(&self, py: Python<'_>, fd: RawFd) -> PyResult<()> {
        let event_loop = self.event_loop(py)?;
        if !event_loop.is_none() && !event_loop.call_method0("is_closed")?.is_truthy()? {
            event_loop.call_method1("remove_reader", (fd,))?;
            event_loop.call_method1("remove_writer", (fd,))?;
        }
        Ok(())
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call0()
    }

    /// Asks the loop for what is due.
    fn arrange(slf: &Bound<'_, Self>, due: Due) -> PyResult<()> {
        let py = slf.py();
        let event_loop = || slf.get().event_loop(py);
        if due.turn {
            let on_turn = slf.getattr(intern!(py, "on_turn"))?;
            event_loop()?.call_method1(intern!(py, "call_soon"), (on_turn,))?;
        }
        match due.writing {
            Some((fd, true)) => {
                let on_turn = slf.getattr("on_turn")?;
                event_loop()?.call_method1("add_writer", (fd, on_turn))?;
            }
            Some((fd, false)) => {
                event_loop()?.call_method1("remove_writer", (fd,))?;
            }
            None => {}
        }
        if let Some(time) = due.timer {
            let on_time = slf.getattr("on_time")?;
            event_loop()?.call_method1("call_later", (time.as_secs_f64(), on_time))?;
        }
        Ok(())
    }

    /// Completes what has ended, and has the rest go on on the runtime.
    fn settle_all(&self, py: Python<'_>, ended: Vec<(Waiting, Done)>) -> PyResult<()> {
        for (waiting, done) in ended {
            let Waiting {
                bridge,
                future,
                slot,
            } = waiting;
            self.settle(bridge.bind(py), future.bind(py), &slot, done)?;
        }
        Ok(())
    }

    fn settle(
        &self,
        bridge: &Bound<'_, Bridge>,
        future: &Bound<'_, PyAny>,
        slot: &Arc<Slot>,
        done: Done,
    ) -> PyResult<()> {
        let ended = match done {
            Done::Acquired(result) => outcome(result, AsyncLeaseCore::finish(self.client)),
            Done::Released(result) => outcome(result, finish_release),
            Done::Acquiring(later) => {
                let finish = AsyncLeaseCore::finish(self.client);
                return go_on(bridge, future, slot, Abandoned::Drops, later, finish);
            }
            Done::Releasing(later) => {
                let finish = finish_release;
                return go_on(bridge, future, slot, Abandoned::GoesOn, later, finish);
            }
        };
        slot.end(ended);
        complete(future)
    }
}

#[pymethods]
impl Line {
    /// The loop's reader callback.
    fn on_readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (this, py) = (slf.get(), slf.py());
        let Some(own) = this.state.get() else {
            return Ok(());
        };
        let mut due = Due::default();
        let (ended, unwanted, over, parting) = {
            let mut state = lock(own);
            let Some(open) = &mut state.open else {
                return Ok(());
            };
            let done = open.line.on_readable();
            if open.line.is_unwritten() {
                // A script that the server did not know is asked for again.
                open.write(true, &mut due);
            }
            let is_broken = open.line.is_broken();
            let (ended, unwanted) = state.sort(done);
            let over = if is_broken {
                state.open.take()
            } else {
                state.take_idle()
            };
            let parting = state.closed && state.open.is_none();
            (ended, unwanted, over, parting)
        };
        // A lease that nobody wants is given back by being dropped.
        drop(unwanted);
        if let Some(open) = over {
            this.end(py, open);
            due = Due::default();
        }
        if parting && let Some(ready) = this.ready.get() {
            ready.push(Item::Part(this.client));
        }
        Self::arrange(slf, due)?;
        this.settle_all(py, ended)
    }

    /// Writes what was begun in this turn of the loop, or could not be written before.
    fn on_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let mut due = Due::default();
        if let Some(own) = this.state.get()
            && let Some(open) = &mut lock(own).open
        {
            open.turn();
            open.write(true, &mut due);
        }
        Self::arrange(slf, due)
    }

    /// Ends acquires whose wait is shorter than the silence of the server.
    fn on_time(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let mut due = Due::default();
        let (ended, unwanted) = {
            let Some(own) = this.state.get() else {
                return Ok(());
            };
            let mut state = lock(own);
            let Some(open) = &mut state.open else {
                return Ok(());
            };
            let given_up = open.give_up();
            open.set_timer(&mut due);
            state.sort(given_up)
        };
        drop(unwanted);
        Self::arrange(slf, due)?;
        this.settle_all(slf.py(), ended)
    }
}
