//! Plain values of the core as the classes of `leaselock._records`.

use std::time::Duration;

use leaselock::{LockInfo, ReleaseStatus, Stats};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::exit;

/// A duration as Python's seconds.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

pub(crate) fn status(py: Python<'_>, status: ReleaseStatus) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    class(py, &CLASS, "ReleaseStatus")?.getattr(status.as_str())
}

pub(crate) fn info(py: Python<'_>, info: LockInfo) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let expires_in = info.expires_in.map(seconds);
    let class = class(py, &CLASS, "LockInfo")?;
    exit::python(py, || {
        class.call1((info.name, info.owner, expires_in, info.waiters))
    })
}

pub(crate) fn stats(py: Python<'_>, stats: Stats) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let counters = (
        stats.held,
        stats.waiting,
        stats.acquired,
        stats.contended,
        stats.timed_out,
        stats.cancelled,
        stats.released,
        stats.lost,
        stats.renewals,
        stats.renew_failures,
        stats.reconnects,
    );
    let class = class(py, &CLASS, "Stats")?;
    exit::python(py, || class.call1(counters))
}

fn class<'py>(
    py: Python<'py>,
    cached: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    let import = || {
        py.import("leaselock._records")?
            .getattr(name)
            .map(Bound::unbind)
    };
    Ok(cached.get_or_try_init(py, import)?.bind(py))
}
