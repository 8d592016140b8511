//! What `AsyncClient.locks` asks, page by page.

use std::sync::Arc;

use leaselock::Locks;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::sync::Mutex;

use super::bridge::Bridge;
use super::operation::{Abandoned, Operation, submit};
use crate::process::Own;
use crate::records;

/// At most so many locks are handed to the loop at once.
const CHUNK: usize = 256;

/// A listing under way.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct AsyncLocks(Own<Arc<Mutex<Locks>>>);

impl AsyncLocks {
    pub(super) fn new(found: Locks) -> Self {
        Self(Own::new(Arc::new(Mutex::new(found))))
    }
}

#[pymethods]
impl AsyncLocks {
    /// The next of them; an empty list at the end.
    fn next(&self, bridge: &Bound<'_, Bridge>) -> PyResult<Operation> {
        let found = self.0.get().map(Arc::clone).ok_or_else(|| {
            PyRuntimeError::new_err("the listing stays with the process that forked this one")
        })?;
        let work = async move {
            let mut found = found.lock().await;
            let mut chunk = Vec::new();
            while chunk.len() < CHUNK
                && let Some(info) = found.next().await
            {
                chunk.push(info?);
            }
            Ok(chunk)
        };
        submit(bridge, Abandoned::Drops, work, |py, chunk| {
            let infos = PyList::empty(py);
            for info in chunk {
                infos.append(records::info(py, info)?)?;
            }
            Ok(infos.into_any())
        })
    }
}
