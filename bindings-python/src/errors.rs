//! The core's errors as Python's exceptions.

use leaselock::{Error, ErrorKind};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::{exit, interrupt};

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
    match error.loss_reason() {
        Some(reason) => lease_lost(py, error.message(), reason.as_str()),
        None => of_kind(py, error.kind(), error.message()),
    }
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
    of_module(py, "LeaselockError").map(drop)
}

fn class(py: Python<'_>, kind: ErrorKind) -> PyResult<Bound<'_, PyAny>> {
    of_module(py, kind.name())
}

fn of_module<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("leaselock._errors").map(Bound::unbind);
    MODULE.get_or_try_init(py, import)?.bind(py).getattr(name)
}

/// Warns where an event loop runs in this thread, which a call that waits brings to a stop.
pub(crate) fn warn_of_loop(py: Python<'_>) -> PyResult<()> {
    of_module(py, "warn_of_loop")?.call0().map(drop)
}

/// An error of ours at the end of a block as a warning, in the name of the Python code that called: the work was done.
/// Other errors, such as a KeyboardInterrupt, stay errors. `masked` says that the body raised, which always wins.
pub(crate) fn as_warning(py: Python<'_>, error: PyErr, text: &str, masked: bool) -> PyResult<()> {
    if !error
        .value(py)
        .is_instance(&of_module(py, "LeaselockError")?)?
    {
        return Err(error);
    }
    // No NUL can be in it: names hold no control characters.
    let text = std::ffi::CString::new(format!("{text}: {}", error.value(py))).unwrap_or_default();
    let class = of_module(py, "LeaselockWarning")?;
    match exit::python(py, || PyErr::warn(py, &class, &text, 1)) {
        // Warnings are errors here.
        Err(_) if masked => Ok(()),
        warned => warned,
    }
}
