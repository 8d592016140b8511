//! A checked request, which an `AsyncLock` keeps.

use leaselock::Request;
use pyo3::prelude::*;

use crate::args::{self, Given, Options};

/// The arguments of an acquire, checked.
#[pyclass(frozen, name = "Request", module = "leaselock._native")]
pub(crate) struct PyRequest(pub(super) Request);

#[pymethods]
impl PyRequest {
    #[new]
    fn new<'py>(
        name: &Bound<'py, PyAny>,
        ttl: Bound<'py, PyAny>,
        wait: Option<&Bound<'py, PyAny>>,
        renew: Bound<'py, PyAny>,
        max_hold: Option<&Bound<'py, PyAny>>,
        label: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let (ttl, renew) = (Given::Value(ttl), Given::Value(renew));
        args::request(
            name,
            Options {
                ttl,
                wait,
                renew,
                max_hold,
                label,
            },
        )
        .map(Self)
    }

    /// The lock's name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }
}
