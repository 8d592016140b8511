//! `Lock`: a name with its options, to enter again and again and to decorate functions with.

use std::sync::Mutex;
use std::thread::{self, ThreadId};

use leaselock::Request;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::client::Client;
use crate::lease::Lease;
use crate::process::lock;

/// A lock to use as `with client.lock(name) as lease:` or `@client.lock(name)`. Made by `Client.lock`.
///
/// It may be shared by threads and by recursive calls: each entry takes a fresh lease, and waits for it like any other.
#[pyclass(frozen, weakref, module = "leaselock")]
pub(crate) struct Lock {
    client: Py<Client>,
    request: Request,
    entered: Mutex<Vec<(ThreadId, Py<Lease>)>>,
}

impl Lock {
    pub(crate) fn new(client: Py<Client>, request: Request) -> Self {
        Self {
            client,
            request,
            entered: Mutex::default(),
        }
    }

    /// The lease that this thread entered last; where another thread leaves than entered, the oldest one.
    fn pop(&self) -> Option<Py<Lease>> {
        let me = thread::current().id();
        let mut entered = lock(&self.entered);
        let at = entered
            .iter()
            .rposition(|(thread, _)| *thread == me)
            .unwrap_or(0);
        (at < entered.len()).then(|| entered.remove(at).1)
    }
}

#[pymethods]
impl Lock {
    /// The lock's name.
    #[getter]
    fn name(&self) -> &str {
        self.request.name()
    }

    /// Takes a fresh lease. For decorated functions.
    #[pyo3(name = "_acquire")]
    fn acquire(&self, py: Python<'_>) -> PyResult<Lease> {
        self.client.get().take(py, self.request.clone())
    }

    /// Takes a lease, waiting for it as the options say.
    ///
    /// Raises:
    ///     LockTimeoutError: The wait ran out.
    ///     StoreUnavailableError: The server could not be reached.
    ///     StoreRefusedError: The server refused.
    ///     ClientClosedError: The client was closed.
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Lease>> {
        let lease = Bound::new(py, self.acquire(py)?)?;
        lock(&self.entered).push((thread::current().id(), lease.clone().unbind()));
        Ok(lease)
    }

    /// Gives that lease back, as `Lease` does at the end of its own block.
    ///
    /// Raises:
    ///     LeaseLostError: The body ended well, and the lease was lost on the way.
    #[pyo3(signature = (exc_type, exc, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc, traceback);
        let lease = self.pop().ok_or_else(|| {
            PyRuntimeError::new_err(format!(
                "the lock {:?} was left more often than it was entered",
                self.name()
            ))
        })?;
        lease.get().leave(py, exc_type.is_some())
    }

    /// Decorates a function: every call takes a fresh lease, as `with` does.
    ///
    /// Raises:
    ///     TypeError: `func` is a generator or a coroutine function, or no function at all.
    #[pyo3(signature = (func, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let acquire = slf.getattr("_acquire")?;
        slf.py()
            .import("leaselock._decorate")?
            .call_method1("sync", (func, acquire))
    }

    fn __repr__(&self) -> String {
        format!("<leaselock.Lock {:?}>", self.name())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'leaselock.Lock': it belongs to the client of this process",
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.client)?;
        // Held by nobody while the collector runs; were it, what is not visited is not collected.
        if let Ok(entered) = self.entered.try_lock() {
            for (_, lease) in entered.iter() {
                visit.call(lease)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let entered = std::mem::take(&mut *lock(&self.entered));
        drop(entered);
    }
}
