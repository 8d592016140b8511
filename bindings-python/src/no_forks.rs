//! On Windows nothing forks.

use pyo3::PyResult;

/// There is nothing to be noticed.
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) fn watch() -> PyResult<()> {
    Ok(())
}

/// Nothing has happened.
pub(crate) fn notice() {}
