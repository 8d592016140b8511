//! Checked requests, which a lock object keeps, and whoever leads.

use leaselock::{GroupRequest, Request};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The arguments of an acquire, checked. Made by a client.
#[pyclass(frozen, name = "Request", module = "leaselock._native")]
pub(crate) struct PyRequest(pub(crate) Request);

#[pymethods]
impl PyRequest {
    /// The lock's name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether the other one is for the same name with the same options.
    fn is_like(&self, other: &Bound<'_, Self>) -> bool {
        let other = &other.get().0;
        self.0.name() == other.name() && self.0.options() == other.options()
    }
}

/// The arguments of an acquire of several names, checked. Made by a client.
#[pyclass(frozen, name = "GroupRequest", module = "leaselock._native")]
pub(crate) struct PyGroupRequest(pub(crate) GroupRequest);

#[pymethods]
impl PyGroupRequest {
    /// The names, in the order in which they are taken.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.names().collect::<Vec<_>>())
    }
}
