//! Arguments from Python: their types are checked here, their values by the core.

use std::time::Duration;

use leaselock::{AcquireOptions, Request, Unit};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};

use crate::errors;

/// An argument whose default is not None, so that an explicit None is told apart.
pub(crate) enum Given<'py> {
    Default,
    Value(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Value(object.to_owned()))
    }
}

/// The options of an acquire, as they came.
pub(crate) struct Options<'a, 'py> {
    pub(crate) ttl: Given<'py>,
    pub(crate) wait: Option<&'a Bound<'py, PyAny>>,
    pub(crate) renew: Given<'py>,
    pub(crate) max_hold: Option<&'a Bound<'py, PyAny>>,
    pub(crate) label: Option<&'a Bound<'py, PyAny>>,
}

/// A request for the core, checked.
pub(crate) fn request(name: &Bound<'_, PyAny>, given: Options<'_, '_>) -> PyResult<Request> {
    let py = name.py();
    let mut options = AcquireOptions::default();
    if let Given::Value(ttl) = &given.ttl {
        options.ttl = seconds("ttl", ttl)?;
    }
    options.wait = given.wait.map(|wait| seconds("wait", wait)).transpose()?;
    if let Given::Value(renew) = &given.renew {
        options.renew = flag("renew", renew)?;
    }
    options.max_hold = given
        .max_hold
        .map(|max| seconds("max_hold", max))
        .transpose()?;
    options.label = given
        .label
        .map(|label| text("label", label).map(str::to_owned))
        .transpose()?;
    Request::new(text("name", name)?, options, Unit::Seconds).map_err(|e| errors::raise(py, &e))
}

/// A str as UTF-8.
pub(crate) fn text<'a>(field: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let text = value
        .cast::<PyString>()
        .map_err(|_| wrong_type(field, "a str", value))?;
    text.to_str().map_err(|_| {
        let message = format!("{field} holds half a surrogate pair, which UTF-8 cannot say; it must be whole Unicode text");
        errors::invalid(value.py(), &message)
    })
}

/// A duration from a number of seconds or a timedelta.
pub(crate) fn seconds(field: &'static str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let py = value.py();
    let number = if let Ok(float) = value.cast::<PyFloat>() {
        float.value()
    } else if value.is_instance_of::<PyBool>() {
        return Err(wrong_type(
            field,
            "a number of seconds or a timedelta",
            value,
        ));
    } else if value.is_instance_of::<PyInt>() {
        // Past what a float can say it is too large for any duration, and reads as such.
        match value.extract::<f64>() {
            Ok(number) => number,
            Err(_) if value.lt(0)? => f64::NEG_INFINITY,
            Err(_) => f64::INFINITY,
        }
    } else if value.is_instance(timedelta(py)?)? {
        value.call_method0("total_seconds")?.extract()?
    } else {
        return Err(wrong_type(
            field,
            "a number of seconds or a timedelta",
            value,
        ));
    };
    leaselock::duration(field, number, Unit::Seconds).map_err(|e| errors::raise(py, &e))
}

fn flag(field: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value
        .cast::<PyBool>()
        .map(PyBoolMethods::is_true)
        .map_err(|_| wrong_type(field, "a bool", value))
}

fn wrong_type(field: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("{field} must be {expected}, not {name}")),
        Err(error) => error,
    }
}

fn timedelta(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "datetime", "timedelta").map(Bound::as_any)
}
