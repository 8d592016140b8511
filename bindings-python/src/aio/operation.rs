//! One operation under way: carried out on the loop's line or by the runtime, awaited by a task.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex};

use futures_util::future::{AbortHandle, Abortable};
use leaselock::Result;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyTuple};

use super::bridge::{Bridge, Item, Ready};
use super::line::Line;
use crate::errors;
use crate::once::interned;
use crate::process::{self, Own, lock};

/// The result of an operation, made into a Python object by whoever awaits it.
pub(super) type Outcome =
    Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// What becomes of an operation that nobody awaits any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// It is dropped, and with it undone.
    Drops,
    /// It goes on.
    GoesOn,
}

/// Where an operation is, for whoever awaits it and whoever carries it out.
pub(super) struct Slot(Mutex<Stage>);

enum Stage {
    /// Under way on the loop's own connection.
    OnLine(Py<Line>, u64),
    /// Under way on the runtime, as this number of the bridge.
    OnRuntime(u64, Option<AbortHandle>),
    Ended(Outcome),
    /// Its result was taken, or nobody wants it.
    Over,
}

impl Slot {
    /// Of an operation that is about to begin.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Stage::OnRuntime(0, None))))
    }

    /// It is under way on this line, as this number.
    pub(super) fn begin_on_line(&self, line: Py<Line>, id: u64) {
        self.advance(Stage::OnLine(line, id));
    }

    /// Leaves the result for whoever awaits it. What nobody wants is dropped: a lease is given back by that.
    pub(super) fn end(&self, outcome: Outcome) {
        self.advance(Stage::Ended(outcome));
    }

    /// Comes to the next stage, unless nobody wants the result any more; whether somebody does.
    fn advance(&self, next: Stage) -> bool {
        let mut stage = lock(&self.0);
        let is_wanted = !matches!(*stage, Stage::Over);
        let unused = if is_wanted {
            mem::replace(&mut *stage, next)
        } else {
            next
        };
        drop(stage);
        drop(unused);
        is_wanted
    }

    fn replace(&self, stage: Stage) -> Stage {
        mem::replace(&mut *lock(&self.0), stage)
    }
}

/// What the core answered, as a result for Python.
pub(super) fn outcome<T: Send + 'static>(
    result: Result<T>,
    finish: impl for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
) -> Outcome {
    Box::new(move |py| match result {
        Ok(value) => finish(py, value),
        Err(error) => Err(errors::raise(py, &error)),
    })
}

/// An operation under way. Awaiting it gives its result; a cancelled one gives back what it was about to get.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct Operation {
    bridge: Py<Bridge>,
    /// The iterator of the asyncio future that is done when the operation is.
    future: Py<PyIterator>,
    slot: Own<Arc<Slot>>,
}

/// Has `work` done by the runtime; `finish` makes a Python object of its result.
pub(super) fn submit<T: Send + 'static>(
    bridge: &Bound<'_, Bridge>,
    abandoned: Abandoned,
    work: impl Future<Output = Result<T>> + Send + 'static,
    finish: impl for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
) -> PyResult<Operation> {
    let future = bridge.get().future(bridge.py())?;
    let slot = Slot::new();
    go_on(bridge, &future, &slot, abandoned, work, finish)?;
    Operation::new(bridge, &future, slot)
}

/// Has the runtime carry on with an operation.
pub(super) fn go_on<T: Send + 'static>(
    bridge: &Bound<'_, Bridge>,
    future: &Bound<'_, PyAny>,
    slot: &Arc<Slot>,
    abandoned: Abandoned,
    work: impl Future<Output = Result<T>> + Send + 'static,
    finish: impl for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
) -> PyResult<()> {
    let runtime = process::current().runtime(bridge.py())?;
    let ready = Arc::clone(bridge.get().ready()?);
    let id = bridge.get().expect(future)?;
    let (abort, registration) = AbortHandle::new_pair();
    let abort = (abandoned == Abandoned::Drops).then_some(abort);
    if !slot.advance(Stage::OnRuntime(id, abort)) {
        // It was abandoned in this very turn of the loop, and so is `work`.
        bridge.get().forget(id);
        return Ok(());
    }
    let slot = Arc::clone(slot);
    runtime.submit(async move {
        // Says that it is over however it ends; declared first, so the outcome is there by then.
        let _over = Over { ready, id };
        if let Ok(result) = Abortable::new(work, registration).await {
            slot.end(outcome(result, finish));
        }
    });
    Ok(())
}

struct Over {
    ready: Arc<Ready>,
    id: u64,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.ready.push(Item::Done(self.id));
    }
}

impl Operation {
    pub(super) fn new(
        bridge: &Bound<'_, Bridge>,
        future: &Bound<'_, PyAny>,
        slot: Arc<Slot>,
    ) -> PyResult<Self> {
        let future = future
            .call_method0(interned!(bridge.py(), "__await__"))?
            .cast_into::<PyIterator>()?;
        Ok(Self {
            bridge: bridge.clone().unbind(),
            future: future.unbind(),
            slot: Own::new(slot),
        })
    }

    /// The result, once the future is done.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.slot.get().map(|slot| slot.replace(Stage::Over)) {
            Some(Stage::Ended(outcome)) => outcome(py),
            // Only where the work panicked, or another loop's fork took the loop with it.
            _ => Err(PyRuntimeError::new_err(
                "the operation ended without a result",
            )),
        }
    }

    fn abandon(&self) {
        let Some(slot) = self.slot.get() else {
            return;
        };
        match slot.replace(Stage::Over) {
            Stage::OnLine(line, id) => line.get().forget(id),
            Stage::OnRuntime(id, abort) => {
                self.bridge.get().forget(id);
                if let Some(abort) = abort {
                    abort.abort();
                }
            }
            // A lease that has arrived already is given back by being dropped.
            Stage::Ended(outcome) => drop(outcome),
            Stage::Over => {}
        }
    }
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.future.bind(py).clone().next() {
            Some(Ok(pending)) => Ok(Some(pending)),
            // The loop cancelled the future.
            Some(Err(error)) => {
                self.abandon();
                Err(error)
            }
            None => {
                let result = self.take(py)?;
                Err(PyStopIteration::new_err((result.unbind(),)))
            }
        }
    }

    /// Raises in the awaiting task: the operation is abandoned.
    #[pyo3(signature = (*error))]
    fn throw<'py>(&self, error: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.abandon();
        self.future.bind(error.py()).call_method1("throw", error)
    }

    /// The awaiting task ended without waiting for it.
    fn close(&self) {
        self.abandon();
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.abandon();
    }
}
