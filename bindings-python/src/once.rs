//! What is looked up in Python once.
//!
//! `PyOnceLock` has others wait for whoever makes its value, and lets go of the GIL meanwhile: a child that is forked then would
//! wait for a thread that it has not got. So each that finds nothing makes the value, and the first one's stays.

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The value, made now where there is none.
pub(crate) fn made<'a, T>(
    py: Python<'_>,
    once: &'a PyOnceLock<T>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if let Some(value) = once.get(py) {
        return Ok(value);
    }
    let value = make()?;
    // Refused where another thread was faster.
    let _ = once.set(py, value);
    Ok(once.get(py).expect("it has just been set"))
}

/// A module's attribute, imported now where it was not yet.
pub(crate) fn imported<'a, 'py, T: PyTypeCheck>(
    py: Python<'py>,
    once: &'a PyOnceLock<Py<T>>,
    module: &str,
    name: &str,
) -> PyResult<&'a Bound<'py, T>> {
    let make = || {
        let value = py.import(module)?.getattr(name)?;
        Ok(value.cast_into::<T>()?.unbind())
    };
    made(py, once, make).map(|value| value.bind(py))
}
