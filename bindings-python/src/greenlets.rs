//! Blocking calls of greenlets: where gevent or eventlet has patched the process, whoever waits lets the others run.
//!
//! The call is carried out by the runtime, which wakes the greenlet through a file descriptor; the greenlet waits for that
//! with `select.select`, which both libraries replace by their own. Nothing else is known of them here.

use std::future::Future;
use std::sync::{Arc, Mutex};

use futures_util::future::{AbortHandle, Abortable};
use leaselock::Result;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyModule};

use crate::aio::operation::Abandoned;
use crate::aio::wake::Wake;
use crate::errors;
use crate::interrupt::blocking;
use crate::once::{self, interned};
use crate::process::{self, Own, lock};

/// Makes a call that may wait: in this thread, or, for a greenlet, as what `later` makes of it.
pub(crate) fn or_blocking<T: Send + 'static, W>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<T> + Send,
    abandoned: Abandoned,
    later: impl FnOnce() -> W,
) -> PyResult<T>
where
    W: Future<Output = Result<T>> + Send + 'static,
{
    if are_here(py) {
        wait(py, abandoned, later())
    } else {
        blocking(py, call)
    }
}

/// Whether waiting as the system does would keep others of this thread from running.
pub(crate) fn are_here(py: Python<'_>) -> bool {
    static SELECT: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let select = once::made(py, &SELECT, || py.import("select").map(Bound::unbind))
        .and_then(|module| module.bind(py).getattr(interned!(py, "select")));
    // Neither is there when the interpreter is nearly gone.
    select.is_ok_and(|select| !select.is_exact_instance_of::<PyCFunction>())
}

/// What a greenlet waits for.
struct Awaited<T> {
    result: Mutex<Option<Result<T>>>,
    wake: Wake,
}

/// Has the runtime do `work`, and waits for it as a greenlet does.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    abandoned: Abandoned,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    let runtime = process::current().runtime(py)?;
    let awaited = Arc::new(Awaited {
        result: Mutex::new(None),
        wake: Wake::new()?,
    });
    let (abort, registration) = AbortHandle::new_pair();
    let theirs = Arc::clone(&awaited);
    runtime.submit(async move {
        // Says that it is over however it ends.
        let told = Told(theirs);
        if let Ok(result) = Abortable::new(work, registration).await {
            *lock(&told.0.result) = Some(result);
        }
    });
    let mine = Own::new(Waiting {
        abort: (abandoned == Abandoned::Drops).then_some(abort),
        awaited,
    });
    let fd = mine.peek().awaited.wake.fd();
    let waited = py
        .import(interned!(py, "leaselock._greenlets"))
        .and_then(|module| module.call_method1(interned!(py, "wait"), (fd,)));
    // Thrown into the greenlet: a time-out, or its end.
    waited?;
    // A fork copies greenlets too.
    let mine = mine.get().ok_or_else(|| {
        PyRuntimeError::new_err("the call stays with the process that forked this one")
    })?;
    let result = lock(&mine.awaited.result).take();
    // There is none only where the work panicked.
    result
        .ok_or_else(|| PyRuntimeError::new_err("the call ended without a result"))?
        .map_err(|error| errors::raise(py, &error))
}

/// Makes a call that waits for a moment, in a thread of the runtime's.
pub(crate) fn in_thread<T: Send + 'static>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let work = async {
        let done = tokio::task::spawn_blocking(call).await;
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    };
    wait(py, Abandoned::GoesOn, work)
}

struct Told<T>(Arc<Awaited<T>>);

impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        self.0.wake.wake();
    }
}

/// A greenlet's wait. Given up, what it waits for is dropped, or goes on, and a result that has come already is dropped.
struct Waiting<T> {
    abort: Option<AbortHandle>,
    awaited: Arc<Awaited<T>>,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
        let unwanted = lock(&self.awaited.result).take();
        drop(unwanted);
    }
}
