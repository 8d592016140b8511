//! One operation under way: submitted to the runtime, awaited by a task.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::{AbortHandle, Abortable};
use leaselock::Result;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyTuple};

use super::bridge::{Bridge, Item, Ready};
use crate::errors;
use crate::process::{self, Own, lock};

/// The result of an operation, made into a Python object by whoever awaits it.
type Outcome = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// What becomes of an operation that nobody awaits any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Abandoned {
    /// It is dropped, and with it undone.
    Drops,
    /// It goes on.
    GoesOn,
}

/// An operation under way. Awaiting it gives its result; a cancelled one gives back what it was about to get.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct Operation {
    id: u64,
    bridge: Py<Bridge>,
    /// The iterator of the asyncio future that is done when the operation is.
    future: Py<PyIterator>,
    outcome: Own<Arc<Mutex<Option<Outcome>>>>,
    abort: Option<AbortHandle>,
    over: AtomicBool,
}

/// Has `work` done by the runtime; `finish` makes a Python object of its result.
pub(super) fn submit<'py, T: Send + 'static>(
    bridge: &Bound<'py, Bridge>,
    abandoned: Abandoned,
    work: impl Future<Output = Result<T>> + Send + 'static,
    finish: impl for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
) -> PyResult<Operation> {
    let py = bridge.py();
    let runtime = process::current().runtime(py)?;
    let ready = Arc::clone(bridge.get().ready()?);
    let (id, future) = bridge.get().expect(py)?;
    let future = future
        .call_method0("__await__")?
        .cast_into::<PyIterator>()?;
    let outcome = Arc::new(Mutex::new(None::<Outcome>));
    let (abort, registration) = AbortHandle::new_pair();
    let slot = Arc::clone(&outcome);
    runtime.submit(async move {
        // Says that it is over however it ends; declared first, so the outcome is there by then.
        let _over = Over { ready, id };
        if let Ok(result) = Abortable::new(work, registration).await {
            let made: Outcome = Box::new(move |py| match result {
                Ok(value) => finish(py, value),
                Err(error) => Err(errors::raise(py, &error)),
            });
            *lock(&slot) = Some(made);
        }
    });
    Ok(Operation {
        id,
        bridge: bridge.clone().unbind(),
        future: future.unbind(),
        outcome: Own::new(outcome),
        abort: (abandoned == Abandoned::Drops).then_some(abort),
        over: AtomicBool::new(false),
    })
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
    /// The result, once the future is done.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.over.store(true, Ordering::Relaxed);
        let outcome = self.outcome.get().and_then(|outcome| lock(outcome).take());
        // Missing only where the work panicked, or another loop's fork took the loop with it.
        outcome.ok_or_else(|| PyRuntimeError::new_err("the operation ended without a result"))?(py)
    }

    fn abandon(&self) {
        if self.over.swap(true, Ordering::Relaxed) {
            return;
        }
        self.bridge.get().forget(self.id);
        if let (Some(abort), Some(outcome)) = (&self.abort, self.outcome.get()) {
            abort.abort();
            // A lease that has arrived already is given back by being dropped.
            let arrived = lock(outcome).take();
            drop(arrived);
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
