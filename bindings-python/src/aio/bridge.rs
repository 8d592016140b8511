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

use super::wake::Wake;
use crate::hooks::Notice;
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
    /// How many open clients have used this bridge.
    clients: usize,
    last: u64,
    /// The asyncio futures of the operations under way.
    futures: HashMap<u64, Py<PyAny>>,
}

/// What is ready for the loop.
pub(super) struct Ready(Mutex<Queue>);

struct Queue {
    items: Vec<Item>,
    /// None once the bridge is shut: whatever comes then has nobody waiting for it.
    wake: Option<Wake>,
}

pub(super) enum Item {
    /// The operation of this number has ended.
    Done(u64),
    /// A callback of a lost lease.
    Lost(Notice),
}

impl Ready {
    /// Queues an item; from any thread, without the GIL.
    pub(super) fn push(&self, item: Item) {
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
        }
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

    /// A future of the loop for a new operation, and the operation's number.
    pub(super) fn expect<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyAny>)> {
        let waiting = self.ours(&self.waiting)?;
        let future = self
            .event_loop
            .bind(py)
            .call0()?
            .call_method0("create_future")?;
        let mut waiting = lock(waiting);
        waiting.last += 1;
        let id = waiting.last;
        waiting.futures.insert(id, future.clone().unbind());
        Ok((id, future))
    }

    /// Nobody waits for this operation any more.
    pub(super) fn forget(&self, id: u64) {
        if let Some(waiting) = self.waiting.get() {
            let future = lock(waiting).futures.remove(&id);
            drop(future);
        }
    }

    /// A client uses this bridge for the first time.
    pub(super) fn join(&self) -> PyResult<()> {
        lock(self.ours(&self.waiting)?).clients += 1;
        Ok(())
    }

    /// A client that used it was closed.
    pub(super) fn part(&self) {
        if let Some(waiting) = self.waiting.get() {
            lock(waiting).clients -= 1;
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

    /// The file descriptor to watch for reading; -1 when the bridge is shut.
    fn fileno(&self) -> i32 {
        let Some(ready) = self.ready.get() else {
            return -1;
        };
        lock(&ready.0).wake.as_ref().map_or(-1, Wake::fd)
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
            }
        }
        Ok(self.idle())
    }

    /// Whether no open client uses it and no operation is under way.
    fn idle(&self) -> bool {
        self.waiting.get().is_none_or(|waiting| {
            let waiting = lock(waiting);
            waiting.clients == 0 && waiting.futures.is_empty()
        })
    }

    /// Closes the file descriptor. What is under way goes on, and is undone where nobody gets it.
    fn shut(&self) {
        if let Some(ready) = self.ready.get() {
            let mut queue = lock(&ready.0);
            let shut = (queue.wake.take(), mem::take(&mut queue.items));
            drop(queue);
            drop(shut);
        }
        if let Some(waiting) = self.waiting.get() {
            let futures = mem::take(&mut lock(waiting).futures);
            drop(futures);
        }
    }
}

/// Wakes who awaits the future, unless it was cancelled just now.
fn complete(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if !future
        .call_method0(pyo3::intern!(py, "done"))?
        .is_truthy()?
    {
        future.call_method1(pyo3::intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}
