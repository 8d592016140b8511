//! `Lease`: a lease whose calls block.

use std::sync::Arc;
use std::time::Duration;

use leaselock::blocking as core;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::aio::operation::Abandoned;
use crate::greenlets::{self, or_blocking};
use crate::held::Held;
use crate::interrupt::{Wait, waiting};
use crate::{args, errors};

/// A name that is held, until it is released, lost, or its TTL runs out. Made by `Client.acquire`.
///
/// In a `with` block it is given back at the end; a block that ended well raises `LeaseLostError` if the lease was lost
/// on the way. A lease that is collected without being released is given back in the background, with a
/// ResourceWarning. Any thread may use it.
///
/// Examples:
///     >>> with client.acquire("nightly-report", ttl=30) as lease:
///     ...     for page in report:
///     ...         lease.check()  # raises LeaseLostError if it was lost
///     ...         write(page, token=lease.token)
#[pyclass(subclass, dict, frozen, weakref, module = "leaselock")]
pub(crate) struct Lease {
    /// None in an object of a subclass that was not made by a client, as a test may want one. Boxed, so that None is all
    /// zeros: before Python 3.12 the collector may run, and traverse this, while its `__dict__` is made and it is nothing yet.
    held: Option<Box<Held<core::Lease>>>,
}

impl Lease {
    pub(crate) fn new(lease: core::Lease) -> Self {
        Self {
            held: Some(Box::new(Held::new(lease))),
        }
    }

    fn held(&self) -> PyResult<&Held<core::Lease>> {
        self.held.as_deref().ok_or_else(|| {
            PyRuntimeError::new_err(
                "this lease was not made by a client, so it has no name to hold",
            )
        })
    }

    /// The end of a `with` block: an exception of the body always wins.
    pub(crate) fn leave(&self, py: Python<'_>, body_raised: bool) -> PyResult<()> {
        let held = self.held()?;
        if !held.is_settled()
            && let Err(error) = self.release(py)
        {
            let text = format!("could not give back {:?}, its TTL frees it", held.name());
            errors::as_warning(py, error, &text, body_raised)?;
        }
        match held.lost_error(py) {
            Some(lost) if !body_raised => Err(lost),
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Lease {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_options), text_signature = "(*args, **options)")]
    fn make<'py>(
        class: &Bound<'py, PyType>,
        _args: &Bound<'py, PyTuple>,
        _options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        if class.is(class.py().get_type::<Self>()) {
            return Err(PyTypeError::new_err(
                "cannot create 'leaselock.Lease' instances: a client makes them, as client.acquire(name)",
            ));
        }
        Ok(Self { held: None })
    }

    /// Takes whatever a subclass is made of.
    #[pyo3(signature = (*_args, **_options))]
    fn __init__(&self, _args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) {}

    /// The lock's name.
    #[getter]
    fn name(&self) -> PyResult<&str> {
        Ok(self.held()?.name())
    }

    /// What this lease is stored as; unique. With it any process can give the name back: `client.release`.
    #[getter]
    fn owner(&self) -> PyResult<&str> {
        Ok(self.held()?.owner())
    }

    /// The fencing token: larger than that of every earlier lease on this name, below 2**53.
    #[getter]
    fn token(&self) -> PyResult<u64> {
        Ok(self.held()?.token())
    }

    /// The lease's length in seconds, as renewals set it.
    #[getter]
    fn ttl(&self) -> PyResult<f64> {
        Ok(self.held()?.ttl())
    }

    /// Seconds until the lease ends if no renewal succeeds, by the local clock; 0 when it is over.
    #[getter]
    fn expires_in(&self) -> PyResult<f64> {
        Ok(self.held()?.expires_in())
    }

    /// `"held"`, `"unsure"` (a renewal has failed; still held), `"lost"` or `"released"`. No network.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(PyString::intern(py, self.held()?.state()))
    }

    /// Whether it is held right now, by the local deadline. No network.
    #[getter(held)]
    fn is_held(&self) -> PyResult<bool> {
        Ok(self.held()?.is_held())
    }

    /// Whether it was lost, also where only the release noticed. For `Client.lead`.
    fn _was_lost(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.held()?.lost_error(py).is_some())
    }

    /// Does nothing while the lease is held. No network.
    ///
    /// Raises:
    ///     LeaseLostError: It is not held any more.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.held()?.check(py)
    }

    /// Makes the lease last exactly `ttl` seconds from now, and renewals set that from now on.
    ///
    /// Args:
    ///     ttl (float | timedelta | None): Seconds, 0.1 to 365 days; None for the TTL it has.
    ///
    /// Raises:
    ///     InvalidArgumentError: `ttl` is out of its range, or reaches past `max_hold`.
    ///     LeaseLostError: It is over.
    ///     StoreUnavailableError: The server did not answer in time; it is unsure.
    ///     StoreRefusedError: The server refused.
    #[pyo3(signature = (ttl=None))]
    fn extend(&self, py: Python<'_>, ttl: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let ttl = ttl.map(|ttl| args::seconds("ttl", ttl)).transpose()?;
        let held = self.held()?;
        let Some(watched) = held.watched() else {
            return Err(held.inherited(py));
        };
        or_blocking(
            py,
            || watched.lease.extend(ttl),
            Abandoned::Drops,
            || {
                let watched = Arc::clone(watched);
                async move { watched.lease.as_ref().extend(ttl).await }
            },
        )
    }

    /// Gives the name back. From the call on the lease is not held, whatever comes of it.
    ///
    /// Returns:
    ///     bool: True when this lease gave the name back, also when asked again; False when it had already gone.
    ///
    /// Raises:
    ///     StoreUnavailableError: The server did not answer in time. Try again, or let the TTL free the name.
    ///     StoreRefusedError: The server refused.
    fn release(&self, py: Python<'_>) -> PyResult<bool> {
        let held = self.held()?;
        match held.watched() {
            Some(watched) => or_blocking(
                py,
                || watched.lease.release(),
                Abandoned::GoesOn,
                || {
                    let watched = held.to_release();
                    async move {
                        match watched {
                            Some(watched) => watched.lease.as_ref().release().await,
                            None => Ok(false),
                        }
                    }
                },
            ),
            None => Ok(false),
        }
    }

    /// Stops renewal and leaves the name to its TTL, or to `client.release(name, owner)` somewhere else.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        self.held()?.detach(py)
    }

    /// Waits until the lease is lost, or released.
    ///
    /// Args:
    ///     timeout (float | timedelta | None): Seconds to wait at most; None for as long as it takes.
    ///
    /// Returns:
    ///     bool: True when it is lost, False when it was released or the time-out came first.
    #[pyo3(signature = (timeout=None))]
    fn wait_lost(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let timeout: Option<Duration> = timeout.map(|t| args::seconds("timeout", t)).transpose()?;
        match self.held()?.watched() {
            Some(watched) if greenlets::are_here(py) => {
                let watched = Arc::clone(watched);
                let work = async move { Ok(watched.lease.as_ref().wait_lost(timeout).await) };
                greenlets::wait(py, Abandoned::Drops, work)
            }
            Some(watched) => waiting(py, Wait::ForEnd, || watched.lease.wait_lost(timeout)),
            None => Ok(true),
        }
    }

    /// Calls `callback(error)` when the lease is lost, once; soon, if it is lost already.
    ///
    /// Callbacks run one after the other on a thread of their own, so hand long work on. They are never called for a
    /// release, nor for a lease that is collected. What one raises is logged to `leaselock`.
    ///
    /// Args:
    ///     callback (Callable[[LeaseLostError], object]): A plain function; the error's `reason` says why.
    ///
    /// Raises:
    ///     TypeError: `callback` is not callable.
    fn on_lost(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        self.held()?.on_lost(py, callback)
    }

    /// Enters the scope of the lease.
    ///
    /// Raises:
    ///     LeaseLostError: It is not held any more.
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().held()?.check(slf.py())?;
        Ok(slf)
    }

    /// Gives the lease back. An exception of the body always wins.
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
        self.leave(py, exc_type.is_some())
    }

    fn __repr__(&self) -> String {
        match &self.held {
            Some(held) => format!("<leaselock.Lease {}>", held.describe()),
            None => "<leaselock.Lease, not made by a client>".to_owned(),
        }
    }

    /// The lease itself.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The lease itself.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'leaselock.Lease': it belongs to its process; send its owner and token",
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.held
            .as_ref()
            .map_or(Ok(()), |held| held.traverse(&visit))
    }

    fn __clear__(&self) {
        if let Some(held) = &self.held {
            held.clear();
        }
    }
}
