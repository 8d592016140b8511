//! Plain values of the core as the classes of `leaselock._records`.

use std::time::Duration;

use leaselock::{ExtendStatus, LockInfo, ReleaseStatus, Stats};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::of_package;
use crate::exit;

/// A duration as Python's seconds.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

pub(crate) fn status(py: Python<'_>, status: ReleaseStatus) -> PyResult<Bound<'_, PyAny>> {
    of_package(py, "ReleaseStatus")?.getattr(status.as_str())
}

pub(crate) fn extended(py: Python<'_>, status: ExtendStatus) -> PyResult<Bound<'_, PyAny>> {
    of_package(py, "ExtendStatus")?.getattr(status.as_str())
}

pub(crate) fn info(py: Python<'_>, info: LockInfo) -> PyResult<Bound<'_, PyAny>> {
    let expires_in = info.expires_in.map(seconds);
    let (class, holder) = (of_package(py, "LockInfo")?, of_package(py, "Holder")?);
    exit::python(py, || {
        let holders = info.holders.into_iter().map(|it| {
            let left = it.expires_in.map(seconds);
            holder.call1((it.owner, left))
        });
        let holders = PyTuple::new(py, holders.collect::<PyResult<Vec<_>>>()?)?;
        class.call1((
            info.name,
            info.owner,
            expires_in,
            info.waiters,
            info.mode.as_str(),
            holders,
            info.holder_count,
        ))
    })
}

pub(crate) fn stats(py: Python<'_>, stats: Stats) -> PyResult<Bound<'_, PyAny>> {
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
    let class = of_package(py, "Stats")?;
    exit::python(py, || class.call1(counters))
}
