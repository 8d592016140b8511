//! What is looked up in Python once.
//!
//! `PyOnceLock` has others wait for whoever makes its value, and lets go of the GIL meanwhile: a child that is forked then would
//! wait for a thread that it has not got. So each that finds nothing makes the value, and the first one's stays.

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

/// A string that is made once, as by `pyo3::intern!`.
macro_rules! interned {
    ($py:expr, $text:literal) => {{
        static TEXT: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::types::PyString>> =
            pyo3::sync::PyOnceLock::new();
        $crate::once::text($py, &TEXT, $text)
    }};
}
pub(crate) use interned;

/// Has that looked at which pyo3 looks at once by itself: whether objects of this Python have their `__dict__` from the beginning.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    #[pyclass(dict)]
    struct WithDict;
    Py::new(py, WithDict).map(drop)
}

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

/// For [`interned!`].
pub(crate) fn text<'a, 'py>(
    py: Python<'py>,
    once: &'a PyOnceLock<Py<PyString>>,
    text: &str,
) -> &'a Bound<'py, PyString> {
    let make = || Ok(PyString::intern(py, text).unbind());
    made(py, once, make).expect("nothing is imported").bind(py)
}
