//! The bridge between the runtime's thread and one event loop.
//!
//! The runtime queues what is finished and writes the file descriptor when the queue was empty; it takes no GIL. The
//! loop's reader callback then completes all that is ready in one wake.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::line::Line;
use super::wake::Wake;
use crate::credentials::Call;
use crate::exit;
use crate::hooks::Notice;
use crate::once::interned;
use crate::process::{Own, lock};

/// The bridge of one event loop. `leaselock._bridge` says which loop has which.
#[pyclass(subclass, frozen, module = "leaselock._native")]
pub(crate) struct Bridge {
    event_loop: Py<PyWeakrefReference>,
    /// What loop and runtime share.
    ready: Own<Arc<Ready>>,
    /// What only the loop's side touches, with the GIL.
    waiting: Own<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// The lines of the clients that use this bridge, by the client's number.
    lines: HashMap<u64, Py<Line>>,
    last: u64,
    /// The asyncio futures of the operations under way.
    futures: HashMap<u64, Py<PyAny>>,
}

/// What is ready for the loop.
pub(crate) struct Ready(Mutex<Queue>);

struct Queue {
    items: Vec<Item>,
    /// None once the bridge is shut: whatever comes then has nobody waiting for it.
    wake: Option<Wake>,
}

pub(crate) enum Item {
    /// The operation of this number has ended.
    Done(u64),
    /// A callback of a lost lease.
    Lost(Notice),
    /// The client of this number does not use the bridge any more.
    Part(u64),
    /// A coroutine function of credentials is to be called.
    Credentials(Call),
}

impl Ready {
    /// Queues an item; from any thread, without the GIL.
    pub(super) fn push(&self, item: Item) {
        drop(self.offer(item));
    }

    /// The same; gives it back where the bridge is shut.
    pub(crate) fn offer(&self, item: Item) -> Result<(), Item> {
        let mut queue = lock(&self.0);
        if let Queue {
            items,
            wake: Some(wake),
        } = &mut *queue
        {
            if items.is_empty() {
                wake.wake();
            }
            items.push(item);
            return Ok(());
        }
        Err(item)
    }
}

impl Bridge {
    fn ours<'a, T>(&self, value: &'a Own<T>) -> PyResult<&'a T> {
        value.get().ok_or_else(|| {
            PyRuntimeError::new_err("this event loop was inherited through a fork; run a new one")
        })
    }

    pub(super) fn ready(&self) -> PyResult<&Arc<Ready>> {
        self.ours(&self.ready)
    }

    /// A future of the loop, for a new operation.
    pub(super) fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.event_loop.bind(py).call0()?;
        exit::python(py, || {
            event_loop.call_method0(interned!(py, "create_future"))
        })
    }

    /// Completes this future when the operation of the number is reported.
    pub(super) fn expect(&self, future: &Bound<'_, PyAny>) -> PyResult<u64> {
        let mut waiting = lock(self.ours(&self.waiting)?);
        waiting.last += 1;
        let id = waiting.last;
        waiting.futures.insert(id, future.clone().unbind());
        Ok(id)
    }

    /// Nobody waits for this operation any more.
    pub(super) fn forget(&self, id: u64) {
        if let Some(waiting) = self.waiting.get() {
            let future = lock(waiting).futures.remove(&id);
            drop(future);
        }
    }

    /// Whether it has ended with its loop.
    pub(super) fn is_shut(&self) -> bool {
        self.ready
            .get()
            .is_none_or(|ready| lock(&ready.0).wake.is_none())
    }

    /// A client uses this bridge for the first time.
    pub(super) fn join(&self, py: Python<'_>, client: u64) -> PyResult<()> {
        let waiting = self.ours(&self.waiting)?;
        let ready = Arc::clone(self.ready()?);
        let line = Py::new(py, Line::new(client, self.event_loop.clone_ref(py), ready))?;
        let before = lock(waiting).lines.insert(client, line);
        drop(before);
        Ok(())
    }

    /// The line of a client that uses this bridge.
    pub(super) fn line<'py>(&self, py: Python<'py>, client: u64) -> Option<Bound<'py, Line>> {
        let waiting = lock(self.waiting.get()?);
        waiting.lines.get(&client).map(|line| line.bind(py).clone())
    }

    /// A client that used it was closed or collected: the loop is told. From any thread.
    pub(super) fn part(&self, client: u64) {
        if let Some(ready) = self.ready.get() {
            ready.push(Item::Part(client));
        }
    }

    /// Whether no open client uses it and no operation is under way.
    fn idle(&self) -> bool {
        self.waiting.get().is_none_or(|waiting| {
            let waiting = lock(waiting);
            waiting.lines.is_empty() && waiting.futures.is_empty()
        })
    }

    /// Ends a client's line, as soon as nothing is under way on it.
    fn end_line(&self, py: Python<'_>, client: u64) {
        let Some(line) = self.line(py, client) else {
            return;
        };
        if Line::close(&line)
            && let Some(waiting) = self.waiting.get()
        {
            let line = lock(waiting).lines.remove(&client);
            drop(line);
        }
    }
}

#[pymethods]
impl Bridge {
    #[new]
    fn new(event_loop: Bound<'_, PyWeakrefReference>) -> PyResult<Self> {
        let queue = Queue {
            items: Vec::new(),
            wake: Some(Wake::new()?),
        };
        Ok(Self {
            event_loop: event_loop.unbind(),
            ready: Own::new(Arc::new(Ready(Mutex::new(queue)))),
            waiting: Own::new(Mutex::default()),
        })
    }

    /// The event loop, if it still exists.
    #[pyo3(name = "loop")]
    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call0()
    }

    /// Whether it is of a loop that another process ran, which this one was forked from.
    #[getter]
    fn inherited(&self) -> bool {
        self.ready.get().is_none()
    }

    /// The file descriptor (on Windows a socket) to watch for reading; -1 when the bridge is shut.
    #[allow(
        clippy::unnecessary_fallible_conversions,
        reason = "a socket of Windows has 64 bits"
    )]
    fn fileno(&self) -> i64 {
        let Some(ready) = self.ready.get() else {
            return -1;
        };
        let fd = lock(&ready.0).wake.as_ref().map(Wake::fd);
        fd.and_then(|fd| i64::try_from(fd).ok()).unwrap_or(-1)
    }

    /// Completes all that is ready; tells whether the bridge is idle now.
    fn drain(&self, py: Python<'_>) -> PyResult<bool> {
        let items = {
            let mut queue = lock(&self.ready()?.0);
            if let Some(wake) = &queue.wake {
                wake.clear();
            }
            mem::take(&mut queue.items)
        };
        for item in items {
            match item {
                Item::Done(id) => {
                    let future = lock(self.ours(&self.waiting)?).futures.remove(&id);
                    if let Some(future) = future {
                        complete(future.bind(py))?;
                    }
                }
                Item::Lost(notice) => {
                    if let Some((callback, error)) = notice.open(py) {
                        py.import("leaselock._callbacks")?
                            .call_method1("call", (callback, error))?;
                    }
                }
                Item::Part(client) => self.end_line(py, client),
                Item::Credentials(call) => {
                    let event_loop = self.event_loop.bind(py).call0()?;
                    exit::python(py, || call.begin_in(&event_loop));
                }
            }
        }
        Ok(self.idle())
    }

    /// Closes the file descriptor. What is under way goes on, and is undone where nobody gets it.
    fn shut(&self, py: Python<'_>) {
        if let Some(ready) = self.ready.get() {
            let mut queue = lock(&ready.0);
            let shut = (queue.wake.take(), mem::take(&mut queue.items));
            drop(queue);
            drop(shut);
        }
        if let Some(waiting) = self.waiting.get() {
            let Waiting { lines, futures, .. } = mem::take(&mut *lock(waiting));
            for line in lines.values() {
                line.get().shut(py);
            }
            drop((lines, futures));
        }
    }
}

/// Wakes who awaits the future, unless it was cancelled just now.
pub(super) fn complete(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    exit::python(py, || {
        if !future.call_method0(interned!(py, "done"))?.is_truthy()? {
            future.call_method1(interned!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    })
}
