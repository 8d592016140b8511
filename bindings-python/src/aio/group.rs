//! The native part of `AsyncLeaseGroup`.

use std::sync::Arc;
use std::time::Duration;

use leaselock::LeaseGroup;
use pyo3::IntoPyObjectExt;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyString, PyTuple};

use super::bridge::{Bridge, Item};
use super::lease::finish_release;
use super::line::Line;
use super::operation::{Abandoned, Operation, submit};
use crate::args;
use crate::held::Held;

/// What an `AsyncLeaseGroup` is made of: each call gives an operation to await on the bridge of the running loop.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct AsyncGroupCore {
    held: Held<Arc<LeaseGroup>>,
    /// The number of its client, by which a bridge knows the client's line.
    client: u64,
}

impl AsyncGroupCore {
    /// Makes the result of an acquire: the group, or None.
    pub(super) fn finish(
        client: u64,
    ) -> impl for<'py> FnOnce(Python<'py>, Option<LeaseGroup>) -> PyResult<Bound<'py, PyAny>> {
        move |py, group| {
            let made = |group| Self {
                held: Held::new(Arc::new(group)),
                client,
            };
            group.map(made).into_bound_py_any(py)
        }
    }
}

#[pymethods]
impl AsyncGroupCore {
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.held.group().names().collect::<Vec<_>>())
    }

    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.held.group().tokens().into_py_dict(py)
    }

    #[getter]
    fn owners<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.held.group().owners().into_py_dict(py)
    }

    /// Unique to the group: the owner string of its first lease.
    #[getter]
    fn owner(&self) -> Option<&str> {
        self.held.group().owners().into_values().next()
    }

    #[getter]
    fn ttl(&self) -> f64 {
        self.held.ttl()
    }

    #[getter]
    fn expires_in(&self) -> f64 {
        self.held.expires_in()
    }

    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, self.held.state())
    }

    #[getter]
    fn held(&self) -> bool {
        self.held.is_held()
    }

    #[getter]
    fn settled(&self) -> bool {
        self.held.is_settled()
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.held.check(py)
    }

    fn lost_error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.held
            .lost_error(py)
            .map(|error| error.into_value(py).into_bound(py).into_any())
    }

    fn describe(&self) -> String {
        self.held.describe_all()
    }

    #[pyo3(signature = (bridge, ttl))]
    fn extend(
        &self,
        bridge: &Bound<'_, Bridge>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Operation> {
        let ttl = ttl.map(|ttl| args::seconds("ttl", ttl)).transpose()?;
        let Some(watched) = self.held.watched().map(Arc::clone) else {
            return Err(self.held.inherited(bridge.py()));
        };
        let work = async move { watched.lease.extend(ttl).await };
        submit(bridge, Abandoned::Drops, work, |py, ()| {
            Ok(py.None().into_bound(py))
        })
    }

    fn release(&self, bridge: &Bound<'_, Bridge>) -> PyResult<Operation> {
        let watched = self.held.to_release();
        if let Some(watched) = &watched
            && let Some(line) = bridge.get().line(bridge.py(), self.client)
            && let Some(operation) = Line::release_all(&line, bridge, &watched.lease)?
        {
            return Ok(operation);
        }
        let work = async move {
            match watched {
                Some(watched) => watched.lease.release().await,
                None => Ok(false),
            }
        };
        submit(bridge, Abandoned::GoesOn, work, finish_release)
    }

    #[pyo3(signature = (bridge, timeout))]
    fn wait_lost(
        &self,
        bridge: &Bound<'_, Bridge>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Operation> {
        let timeout: Option<Duration> = timeout.map(|t| args::seconds("timeout", t)).transpose()?;
        let watched = self.held.watched().map(Arc::clone);
        let work = async move {
            match watched {
                Some(watched) => Ok(watched.lease.wait_lost(timeout).await),
                None => Ok(true),
            }
        };
        submit(bridge, Abandoned::Drops, work, |py, lost| {
            lost.into_bound_py_any(py)
        })
    }

    /// Has the loop call `callback(error)` when the lease is lost; the number is for `unhook`.
    fn hook(&self, bridge: &Bound<'_, Bridge>, callback: Py<PyAny>) -> PyResult<u64> {
        let ready = Arc::clone(bridge.get().ready()?);
        let post = move |notice| ready.push(Item::Lost(notice));
        Ok(self.held.hook(callback, post))
    }

    /// Takes such a callback back.
    fn unhook(&self, hook: u64) {
        self.held.unhook(hook);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.held.traverse(&visit)
    }

    fn __clear__(&self) {
        self.held.clear();
    }
}
