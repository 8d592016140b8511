//! A checked request, which an `AsyncLock` keeps, and whoever leads.

use leaselock::Request;
use pyo3::prelude::*;

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
}
