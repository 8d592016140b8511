//! A client's connection on one event loop: uncontended acquires and releases that the loop's own thread sends and
//! receives.
//!
//! All that is decided is decided by the core's `Port`; here the loop does what the port wants. Whatever is more than one
//! answered command goes on on the runtime, for the same awaiting task.

use std::mem;
use std::sync::{Arc, Mutex, Weak};

use leaselock::platform::{RawDescriptor, raw};
use leaselock::port::{Begin, Done, Port, Wants};
use leaselock::{Client, GroupRequest, Lease, LeaseGroup, Request};
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::bridge::{Bridge, Item, Ready, complete};
use super::group::AsyncGroupCore;
use super::lease::{AsyncLeaseCore, finish_release};
use super::operation::{Abandoned, Operation, Slot, go_on, outcome};
use crate::once::interned;
use crate::process::{self, Own, lock};
use crate::{errors, exit};

/// The line of one client on one event loop. Nothing of Python is called or dropped while the port is locked.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct Line {
    client: u64,
    event_loop: Py<PyWeakrefReference>,
    /// Whom to tell that a client that was closed has nothing under way any more.
    ready: Own<Arc<Ready>>,
    port: Own<Arc<Shared>>,
}

type Shared = Mutex<Port<Waiting>>;

/// The lines of one process, for its end.
pub(crate) struct Lines(Mutex<Vec<Weak<Shared>>>);

impl Lines {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn add(&self, port: &Arc<Shared>) {
        let mut ports = lock(&self.0);
        ports.retain(|port| port.strong_count() > 0);
        ports.push(Arc::downgrade(port));
    }

    /// No loop runs any more: what is under way on the lines is undone, or goes on, in the background. Uses nothing of
    /// Python.
    pub(crate) fn end(&self) {
        let ports = mem::take(&mut *lock(&self.0));
        for port in ports.iter().filter_map(Weak::upgrade) {
            let ended = lock(&port).refuse();
            for (waiting, done) in ended {
                mem::forget(waiting);
                drop(done);
            }
        }
    }
}

/// Who waits for an operation.
struct Waiting {
    bridge: Py<Bridge>,
    future: Py<PyAny>,
    slot: Arc<Slot>,
}

impl Line {
    pub(super) fn new(client: u64, event_loop: Py<PyWeakrefReference>, ready: Arc<Ready>) -> Self {
        let port = Arc::default();
        process::current().lines.add(&port);
        Self {
            client,
            event_loop,
            ready: Own::new(ready),
            port: Own::new(port),
        }
    }

    /// Begins an acquire; gives the request back where there is no connection for it.
    pub(super) fn acquire(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        client: &Client,
        request: Request,
        once: bool,
    ) -> PyResult<Result<Operation, Request>> {
        match slf.get().port.get() {
            Some(port) if lock(port).connect(client) => {
                Self::begin(slf, port, bridge, |port, waiting| {
                    port.acquire(client, request, once, waiting)
                })
            }
            _ => Ok(Err(request)),
        }
    }

    /// Begins to release a lease; `None` where there is no connection for it.
    pub(super) fn release(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        lease: &Arc<Lease>,
    ) -> PyResult<Option<Operation>> {
        match slf.get().port.get() {
            Some(port) if lock(port).descriptor().is_some() => {
                let begun = Self::begin(slf, port, bridge, |port, waiting| {
                    Ok(port.release(lease, waiting))
                });
                Ok(begun?.ok())
            }
            _ => Ok(None),
        }
    }

    /// Begins an acquire of several locks, as [`acquire`](Self::acquire) does.
    pub(super) fn acquire_all(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        client: &Client,
        request: GroupRequest,
        once: bool,
    ) -> PyResult<Result<Operation, GroupRequest>> {
        match slf.get().port.get() {
            Some(port) if lock(port).connect(client) => {
                Self::begin(slf, port, bridge, |port, waiting| {
                    port.acquire_all(client, request, once, waiting)
                })
            }
            _ => Ok(Err(request)),
        }
    }

    /// Begins to release a group, as [`release`](Self::release) does.
    pub(super) fn release_all(
        slf: &Bound<'_, Self>,
        bridge: &Bound<'_, Bridge>,
        group: &Arc<LeaseGroup>,
    ) -> PyResult<Option<Operation>> {
        match slf.get().port.get() {
            Some(port) if lock(port).descriptor().is_some() => {
                let begun = Self::begin(slf, port, bridge, |port, waiting| {
                    Ok(port.release_all(group, waiting))
                });
                Ok(begun?.ok())
            }
            _ => Ok(None),
        }
    }

    fn begin<T>(
        slf: &Bound<'_, Self>,
        port: &Shared,
        bridge: &Bound<'_, Bridge>,
        send: impl FnOnce(
            &mut Port<Waiting>,
            &dyn Fn(u64) -> Waiting,
        ) -> leaselock::Result<Begin<Waiting, T>>,
    ) -> PyResult<Result<Operation, T>> {
        let py = slf.py();
        let future = bridge.get().future(py)?;
        let slot = Slot::new();
        let waiting = |id| {
            slot.begin_on_line(slf.clone().unbind(), id);
            Waiting {
                bridge: bridge.clone().unbind(),
                future: future.clone().unbind(),
                slot: slot.clone(),
            }
        };
        let (begun, arranged) = Self::step(slf, port, |port| send(port, &waiting));
        arranged?;
        match begun.map_err(|error| errors::raise(py, &error))? {
            Begin::UnderWay(_) => {}
            Begin::Done(waiting, done) => slf.get().settle(py, waiting, done)?,
            Begin::Elsewhere(what) => return Ok(Err(what)),
        }
        Operation::new(bridge, &future, slot).map(Ok)
    }

    /// Nobody waits for this operation any more. What it gets is dropped when it is known, and with it undone.
    pub(super) fn forget(&self, id: u64) {
        if let Some(port) = self.port.get() {
            let abandoned = lock(port).abandon(id);
            drop(abandoned);
        }
    }

    /// Nothing more begins on the line; it ends when what is under way has ended. Tells whether it has.
    pub(super) fn close(slf: &Bound<'_, Self>) -> bool {
        let Some(port) = slf.get().port.get() else {
            return true;
        };
        let (is_over, arranged) = Self::step(slf, port, |port| {
            port.close();
            port.is_over()
        });
        report(slf.py(), arranged);
        is_over
    }

    /// The loop has ended: what is under way is undone, or goes on, in the background.
    pub(super) fn shut(&self, py: Python<'_>) {
        if let Some(own) = self.port.get() {
            let port = {
                let mut port = lock(own);
                let shut = mem::take(&mut *port);
                port.close();
                shut
            };
            if let Some(socket) = port.descriptor() {
                report(py, self.unwatch(py, raw(socket)));
            }
            drop(port);
        }
    }

    /// Has the port do something, and then the loop what the port wants.
    fn step<T>(
        slf: &Bound<'_, Self>,
        own: &Shared,
        call: impl FnOnce(&mut Port<Waiting>) -> T,
    ) -> (T, PyResult<()>) {
        let (done, wants, fd) = {
            let mut port = lock(own);
            let done = call(&mut port);
            let wants = port.wants();
            (done, wants, port.descriptor().map(raw))
        };
        (done, Self::arrange(slf, own, wants, fd))
    }

    fn arrange(
        slf: &Bound<'_, Self>,
        own: &Shared,
        wants: Wants,
        fd: Option<RawDescriptor>,
    ) -> PyResult<()> {
        exit::python(slf.py(), || Self::arrange_now(slf, own, wants, fd))
    }

    fn arrange_now(
        slf: &Bound<'_, Self>,
        own: &Shared,
        wants: Wants,
        fd: Option<RawDescriptor>,
    ) -> PyResult<()> {
        let (this, py) = (slf.get(), slf.py());
        // A file descriptor must not be closed while it is watched.
        if let Some(connection) = wants.ended {
            let unwatched = this.unwatch(py, raw(connection.descriptor()));
            drop(connection);
            report(py, unwatched);
        }
        let event_loop = || this.event_loop(py);
        if wants.watch {
            let on_readable = slf.getattr("on_readable")?;
            let watched = event_loop()?.call_method1("add_reader", (fd, on_readable));
            if watched.is_err() {
                // Everything goes by the runtime then.
                let refused = lock(own).refuse();
                return this.settle_all(py, refused);
            }
        }
        match wants.writable {
            Some(true) => {
                let on_turn = slf.getattr("on_turn")?;
                event_loop()?.call_method1("add_writer", (fd, on_turn))?;
            }
            Some(false) => {
                event_loop()?.call_method1("remove_writer", (fd,))?;
            }
            None => {}
        }
        if wants.turn {
            let on_turn = slf.getattr(interned!(py, "on_turn"))?;
            event_loop()?.call_method1(interned!(py, "call_soon"), (on_turn,))?;
        }
        if let Some(time) = wants.timer {
            let on_time = slf.getattr("on_time")?;
            event_loop()?.call_method1("call_later", (time.as_secs_f64(), on_time))?;
        }
        Ok(())
    }

    fn unwatch(&self, py: Python<'_>, fd: RawDescriptor) -> PyResult<()> {
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

    /// Has the port look at its connection, and completes what has ended by that.
    fn advance(
        slf: &Bound<'_, Self>,
        look: impl FnOnce(&mut Port<Waiting>) -> Vec<(Waiting, Done)>,
    ) -> PyResult<()> {
        let this = slf.get();
        let Some(port) = this.port.get() else {
            return Ok(());
        };
        let ((ended, is_parting), arranged) = Self::step(slf, port, |port| {
            let was_over = port.is_over();
            let ended = look(port);
            (ended, port.is_over() && !was_over)
        });
        if is_parting && let Some(ready) = this.ready.get() {
            ready.push(Item::Part(this.client));
        }
        arranged.and(this.settle_all(slf.py(), ended))
    }

    /// Completes what has ended, and has the rest go on on the runtime.
    fn settle_all(&self, py: Python<'_>, ended: Vec<(Waiting, Done)>) -> PyResult<()> {
        for (waiting, done) in ended {
            self.settle(py, waiting, done)?;
        }
        Ok(())
    }

    fn settle(&self, py: Python<'_>, waiting: Waiting, done: Done) -> PyResult<()> {
        let (bridge, future) = (waiting.bridge.bind(py), waiting.future.bind(py));
        let (slot, finish) = (&waiting.slot, AsyncLeaseCore::finish(self.client));
        let finish_all = AsyncGroupCore::finish(self.client);
        let ended = match done {
            Done::Acquired(result) => outcome(result, finish),
            Done::AcquiredAll(result) => outcome(result, finish_all),
            Done::AcquiringAll(later) => {
                return go_on(bridge, future, slot, Abandoned::Drops, later, finish_all);
            }
            Done::Released(result) => outcome(result, finish_release),
            Done::Acquiring(later) => {
                return go_on(bridge, future, slot, Abandoned::Drops, later, finish);
            }
            Done::Releasing(later) => {
                return go_on(
                    bridge,
                    future,
                    slot,
                    Abandoned::GoesOn,
                    later,
                    finish_release,
                );
            }
        };
        slot.end(ended);
        complete(future)
    }
}

/// An error where nobody can be told.
fn report(py: Python<'_>, result: PyResult<()>) {
    if let Err(error) = result {
        error.write_unraisable(py, None);
    }
}

#[pymethods]
impl Line {
    /// The loop's reader callback.
    fn on_readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::advance(slf, Port::on_ready)
    }

    /// Writes what was begun in this turn of the loop, or could not be written before.
    fn on_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().port.get() {
            Some(port) => Self::step(slf, port, Port::on_turn).1,
            None => Ok(()),
        }
    }

    /// Ends what has had no answer for too long.
    fn on_time(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::advance(slf, Port::on_time)
    }
}
