//! `Lock`: a name with its options, to enter again and again and to decorate functions with.

use std::sync::OnceLock;

use leaselock::Request;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::aio::request::PyRequest;
use crate::args::{self, Options};
use crate::client::Client;
use crate::entries::{Entries, Place};
use crate::errors;
use crate::lease::Lease;

/// A lock to use as `with client.lock(name) as lease:` or `@client.lock(name)`. Made by `Client.lock`.
///
/// It may be shared by threads and by recursive calls: each entry takes a fresh lease, and waits for it like any other.
/// As a decorator it takes one for each call. A coroutine function needs the lock of an `AsyncClient`, and a generator
/// takes its lock inside; both are a TypeError here.
///
/// Args:
///     client (Client): Who takes it.
///     name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
///     ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this process;
///         0.1 to 365 days.
///     wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
///     renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
///     max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at least
///         `ttl`. None is no bound.
///     min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
///         acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
///     label (str | None): For people: leads the owner string. At most 128 bytes.
///     shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
///         readers, or one writer, who asks without it.
///     permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
///         1 is an exclusive lock, as None is. Not together with `shared`.
///
/// Raises:
///     InvalidArgumentError: An argument is out of its range.
///     TypeError: An argument is of a wrong type.
///
/// Examples:
///     >>> @client.lock("nightly-report", ttl=30, wait=10)
///     ... def report() -> None: ...
#[pyclass(subclass, dict, frozen, weakref, module = "leaselock")]
pub(crate) struct Lock {
    /// Set by `__init__`.
    of: OnceLock<Of>,
    entered: Entries,
}

/// Whose lock it is, and how it is taken.
struct Of {
    client: Py<Client>,
    request: Request,
}

impl Lock {
    pub(crate) fn new(client: Py<Client>, request: Request) -> Self {
        Self {
            of: OnceLock::from(Of { client, request }),
            entered: Entries::default(),
        }
    }

    fn of(&self) -> PyResult<&Of> {
        self.of.get().ok_or_else(errors::uninitialised)
    }
}

#[pymethods]
impl Lock {
    #[new]
    #[pyo3(signature = (*_args, **_options),
           text_signature = "(client, name, *, ttl=30, wait=None, renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None)")]
    fn make(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            of: OnceLock::new(),
            entered: Entries::default(),
        }
    }

    /// As `client.lock(name)`.
    #[pyo3(signature = (client, name, **options))]
    fn __init__<'py>(
        &self,
        client: &Bound<'py, Client>,
        name: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let request = args::request(name, Options::named("lock", options)?)?;
        let client = client.clone().unbind();
        let of = Of { client, request };
        self.of.set(of).map_err(|_| errors::initialised())
    }

    /// The lock's name.
    #[getter]
    fn name(&self) -> PyResult<&str> {
        Ok(self.of()?.request.name())
    }

    /// What it takes. For `ReentrantLock`.
    #[getter]
    fn _request(&self) -> PyResult<PyRequest> {
        Ok(PyRequest(self.of()?.request.clone()))
    }

    /// Takes a fresh lease. For decorated functions.
    #[pyo3(name = "_acquire")]
    fn acquire(&self, py: Python<'_>) -> PyResult<Lease> {
        let of = self.of()?;
        of.client.get().take(py, of.request.clone())
    }

    /// Takes a lease, waiting for it as the options say.
    ///
    /// Raises:
    ///     LockTimeoutError: The wait ran out.
    ///     StoreUnavailableError: The server could not be reached.
    ///     StoreRefusedError: The server refused.
    ///     ClientClosedError: The client was closed.
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Lease>> {
        let place = Place::new(py, 0)?;
        let lease = Bound::new(py, self.acquire(py)?)?;
        self.entered.add(place, lease.clone().into_any().unbind());
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
        let Some(lease) = self.entered.take(&Place::new(py, 0)?) else {
            return Err(PyRuntimeError::new_err(format!(
                "the lock {:?} was left more often than it was entered",
                self.name()?
            )));
        };
        let lease = lease.bind(py).cast::<Lease>()?;
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
        match self.of() {
            Ok(of) => format!("<leaselock.Lock {:?}>", of.request.name()),
            Err(_) => "<leaselock.Lock, not initialised>".to_owned(),
        }
    }

    /// The lock itself.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The lock itself.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'leaselock.Lock': it belongs to the client of this process",
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(of) = self.of.get() {
            visit.call(&of.client)?;
        }
        self.entered.__traverse__(visit)
    }

    fn __clear__(&self) {
        self.entered.__clear__();
    }
}
