//! What `Client.locks` returns.

use std::sync::Mutex;

use leaselock::{LockInfo, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::greenlets;
use crate::interrupt::blocking;
use crate::process::Own;
use crate::records;

type Found = Box<dyn Iterator<Item = Result<LockInfo>> + Send>;

/// An iterator over locks, which asks the server as it goes.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct LockIterator {
    /// Taken out while it is asked, so that no lock is held without the GIL.
    found: Own<Mutex<Option<Found>>>,
}

impl LockIterator {
    pub(crate) fn new(found: impl Iterator<Item = Result<LockInfo>> + Send + 'static) -> Self {
        Self {
            found: Own::new(Mutex::new(Some(Box::new(found)))),
        }
    }
}

#[pymethods]
impl LockIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let slot = self.found.get().ok_or_else(|| {
            PyRuntimeError::new_err("the listing stays with the process that forked this one")
        })?;
        let mut found = crate::process::lock(slot)
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("another thread is using this iterator"))?;
        let next = if greenlets::are_here(py) {
            let (left, next) = greenlets::in_thread(py, move || {
                let next = found.next();
                Ok((found, next))
            })?;
            found = left;
            Ok(next)
        } else {
            blocking(py, || Ok(found.next()))
        };
        *crate::process::lock(slot) = Some(found);
        match next? {
            Some(Ok(info)) => records::info(py, info).map(Some),
            Some(Err(error)) => Err(crate::errors::raise(py, &error)),
            None => Ok(None),
        }
    }
}
