//! The core's errors as Python's exceptions.

use leaselock::{Error, ErrorKind};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::credentials::Raised;
use crate::{exit, interrupt, once};

/// The code of each class, by its name: the core's own table.
#[pyfunction]
pub(crate) fn error_codes() -> std::collections::HashMap<&'static str, &'static str> {
    ErrorKind::ALL
        .iter()
        .map(|kind| (kind.name(), kind.code()))
        .collect()
}

/// The exception for an error of the core.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    if error.kind() == ErrorKind::Interrupted {
        // A signal handler raised; what it raised is what the caller gets.
        return interrupt::take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
    }
    if let Some(reason) = error.loss_reason() {
        return lease_lost(py, error.message(), reason.as_str());
    }
    let raised = of_kind(py, error.kind(), error.message());
    if let Some(cause) = Raised::of(error) {
        raised.set_cause(py, Some(cause.clone_ref(py)));
    }
    raised
}

/// The error of using an object of a subclass before it is made.
pub(crate) fn uninitialised() -> PyErr {
    PyRuntimeError::new_err("super().__init__() was not called")
}

/// The error of making an object twice.
pub(crate) fn initialised() -> PyErr {
    PyRuntimeError::new_err("super().__init__() was called before")
}

/// An exception of a kind with a text of our own.
pub(crate) fn of_kind(py: Python<'_>, kind: ErrorKind, message: &str) -> PyErr {
    made(py, kind, (message,))
}

pub(crate) fn invalid(py: Python<'_>, message: &str) -> PyErr {
    of_kind(py, ErrorKind::InvalidArgument, message)
}

pub(crate) fn lease_lost(py: Python<'_>, message: &str, reason: &str) -> PyErr {
    made(py, ErrorKind::LeaseLost, (message, reason))
}

fn made<'py>(py: Python<'py>, kind: ErrorKind, arguments: impl PyCallArgs<'py>) -> PyErr {
    let made = || class(py, kind).and_then(|class| class.call1(arguments));
    exit::python(py, made).map_or_else(|e| e, PyErr::from_value)
}

/// Has the classes at hand before the interpreter comes near its end, when nothing can be imported any more.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    of_package(py, "LeaselockError").map(drop)
}

fn class(py: Python<'_>, kind: ErrorKind) -> PyResult<Bound<'_, PyAny>> {
    of_package(py, kind.name())
}

/// What modules of the package have defined for this module, by name.
static KEPT: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Keeps what the package defines under these names, and returns what it had defined under them first.
///
/// A package that is imported again thus has the classes that it had, and `except` of either import catches what is
/// raised.
#[pyfunction]
pub(crate) fn keep<'py>(
    py: Python<'py>,
    defined: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let kept = once::made(py, &KEPT, || Ok(PyDict::new(py).unbind()))?.bind(py);
    let first = PyDict::new(py);
    for (name, value) in defined {
        let value = if let Some(value) = kept.get_item(&name)? {
            value
        } else {
            kept.set_item(&name, &value)?;
            value
        };
        first.set_item(name, value)?;
    }
    Ok(first)
}

/// What the package defines under this name.
pub(crate) fn of_package<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    if let Some(kept) = KEPT.get(py)
        && let Some(value) = kept.bind(py).get_item(name)?
    {
        return Ok(value);
    }
    // Only where this module was imported by itself.
    py.import("leaselock")?;
    let kept = KEPT.get(py).map(|kept| kept.bind(py).get_item(name));
    let value = kept.transpose()?.flatten();
    value.ok_or_else(|| PyRuntimeError::new_err(format!("leaselock defines no {name}")))
}

/// Warns where an event loop runs in this thread, which a call that waits brings to a stop.
pub(crate) fn warn_of_loop(py: Python<'_>) -> PyResult<()> {
    of_package(py, "warn_of_loop")?.call0().map(drop)
}

/// An error of ours at the end of a block as a warning, in the name of the Python code that called: the work was done.
/// Other errors, such as a KeyboardInterrupt, stay errors. `masked` says that the body raised, which always wins.
pub(crate) fn as_warning(py: Python<'_>, error: PyErr, text: &str, masked: bool) -> PyResult<()> {
    if !error
        .value(py)
        .is_instance(&of_package(py, "LeaselockError")?)?
    {
        return Err(error);
    }
    // No NUL can be in it: names hold no control characters.
    let text = std::ffi::CString::new(format!("{text}: {}", error.value(py))).unwrap_or_default();
    let class = of_package(py, "LeaselockWarning")?;
    match exit::python(py, || PyErr::warn(py, &class, &text, 1)) {
        // Warnings are errors here.
        Err(_) if masked => Ok(()),
        warned => warned,
    }
}
