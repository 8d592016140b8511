//! `leaselock._native`: the core as Python sees it. Each file is one verb or one subject; the logic is in the core.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments on classes and methods are Python docstrings"
)]
#![allow(
    clippy::unused_self,
    reason = "Python calls methods with an object, whether they look at it or not"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "pyo3 hands arguments over by value"
)]

mod access;
mod aio;
mod args;
mod client;
mod command_line;
mod core_lease;
mod credentials;
mod entries;
mod errors;
mod events;
mod exit;
#[cfg_attr(windows, path = "no_forks.rs")]
mod forks;
mod greenlets;
mod group;
mod held;
mod hooks;
mod interrupt;
mod lease;
mod lock;
mod locks;
mod log;
mod observe;
mod once;
mod process;
mod records;
mod runtime;

use pyo3::prelude::*;

/// The native part of leaselock.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::aio::{
        bridge::Bridge,
        client::AsyncClientCore,
        group::AsyncGroupCore,
        lease::AsyncLeaseCore,
        line::Line,
        locks::AsyncLocks,
        operation::Operation,
        request::{PyGroupRequest, PyRequest},
    };
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::command_line::cli;
    #[pymodule_export]
    use crate::credentials::CredentialsRequest;
    #[pymodule_export]
    use crate::entries::{Entries, Place};
    #[pymodule_export]
    use crate::errors::{error_codes, keep};
    #[pymodule_export]
    use crate::events::{next_event, stop_events};
    #[pymodule_export]
    use crate::exit::{begin_exit, end_process};
    #[pymodule_export]
    use crate::group::LeaseGroup;
    #[pymodule_export]
    use crate::lease::Lease;
    #[pymodule_export]
    use crate::lock::Lock;
    #[pymodule_export]
    use crate::locks::LockIterator;
    #[pymodule_export]
    use crate::observe::{PyLockEvent, flush_observed, observing};

    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        static INSTALLED: AtomicBool = AtomicBool::new(false);
        let py = module.py();
        crate::process::refuse_subinterpreter(py)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // A package that is imported again has this done.
        if INSTALLED.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        crate::once::prepare(py)?;
        crate::log::install();
        crate::exit::install(py);
        crate::forks::watch()?;
        Ok(())
    }
}
