//! What a lease and a group of them tell, blocking or not, and what becomes of it in a forked child.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leaselock::{LeaseGroup, LeaseState};
use pyo3::exceptions::{PyResourceWarning, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::core_lease::{CoreHeld, CoreLease, listed};
use crate::errors;
use crate::events::{Event, start_callbacks};
use crate::greenlets;
use crate::hooks::{Notice, Watched};
use crate::interrupt::blocking;
use crate::process::{self, Own};

/// A lease, or a group of them, in Python's hands. In a child of a fork it is lost: it is the parent's.
pub(crate) struct Held<L: CoreHeld> {
    lease: Own<Arc<Watched<L>>>,
    /// For a child, which cannot ask.
    first_ttl: Duration,
    /// Whether a release is on its way to the core's thread, which may not have begun it.
    releasing: AtomicBool,
}

impl<L: CoreHeld> Held<L> {
    pub(crate) fn new(lease: L) -> Self {
        let first_ttl = lease.ttl();
        Self {
            lease: Own::new(Watched::new(lease)),
            first_ttl,
            releasing: AtomicBool::new(false),
        }
    }

    /// The lease, unless it was inherited through a fork.
    pub(crate) fn watched(&self) -> Option<&Arc<Watched<L>>> {
        self.lease.get()
    }

    /// The lease, for a release that goes on whatever becomes of this object.
    pub(crate) fn to_release(&self) -> Option<Arc<Watched<L>>> {
        self.releasing.store(true, Ordering::Relaxed);
        self.watched().map(Arc::clone)
    }

    fn core(&self) -> Option<&L> {
        self.lease.get().map(|watched| &watched.lease)
    }

    /// Only for what never changes: nothing inherited is locked.
    fn fixed(&self) -> &L {
        &self.lease.peek().lease
    }

    pub(crate) fn ttl(&self) -> f64 {
        self.core().map_or(self.first_ttl, L::ttl).as_secs_f64()
    }

    pub(crate) fn expires_in(&self) -> f64 {
        self.core()
            .map_or(0.0, |lease| lease.expires_in().as_secs_f64())
    }

    pub(crate) fn state(&self) -> &'static str {
        self.core().map_or("lost", |lease| lease.state().as_str())
    }

    pub(crate) fn is_held(&self) -> bool {
        self.core()
            .is_some_and(|lease| matches!(lease.state(), LeaseState::Held | LeaseState::Unsure))
    }

    /// Whether nothing is left to give back.
    pub(crate) fn is_settled(&self) -> bool {
        self.core().is_none_or(L::is_settled)
    }

    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.core() {
            Some(lease) => lease.check().map_err(|e| errors::raise(py, &e)),
            None => Err(self.inherited(py)),
        }
    }

    /// The error of having lost it, if it was.
    pub(crate) fn lost_error(&self, py: Python<'_>) -> Option<PyErr> {
        match self.core() {
            Some(lease) => lease.lost_error().map(|e| errors::raise(py, &e)),
            None => Some(self.inherited(py)),
        }
    }

    /// The error of using the parent's lease in a child.
    pub(crate) fn inherited(&self, py: Python<'_>) -> PyErr {
        let message = format!(
            "{} is lost (taken): it stays with the process that forked this one; acquire another here",
            self.fixed().what()
        );
        errors::lease_lost(py, &message, "taken")
    }

    /// Has the callback thread call it when the lease is lost.
    pub(crate) fn on_lost(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        if !callback.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "callback must be callable, not {}",
                callback.get_type().name()?
            )));
        }
        start_callbacks(py)?;
        let process = process::current();
        self.hook(callback.clone().unbind(), |notice| {
            process.events.push(Event::Lost(notice));
        });
        Ok(())
    }

    /// Has `post` called with the callback's notice when the lease is lost; the number is for `unhook`.
    pub(crate) fn hook(
        &self,
        callback: Py<PyAny>,
        post: impl FnOnce(Notice) + Send + 'static,
    ) -> u64 {
        self.watched()
            .map_or(0, |watched| watched.hook(callback, post))
    }

    /// Takes such a callback back.
    pub(crate) fn unhook(&self, hook: u64) {
        if let Some(watched) = self.watched() {
            let callback = watched.unhook(hook);
            drop(callback);
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watched()
            .map_or(Ok(()), |watched| watched.traverse(visit))
    }

    pub(crate) fn clear(&self) {
        if let Some(watched) = self.watched() {
            watched.clear();
        }
    }
}

impl<L: CoreLease> Held<L> {
    pub(crate) fn name(&self) -> &str {
        self.fixed().core().name()
    }

    pub(crate) fn owner(&self) -> &str {
        self.fixed().core().owner()
    }

    pub(crate) fn token(&self) -> u64 {
        self.fixed().core().token()
    }

    pub(crate) fn detach(&self, py: Python<'_>) -> PyResult<()> {
        let Some(watched) = self.watched() else {
            return Ok(());
        };
        if greenlets::are_here(py) {
            let watched = Arc::clone(watched);
            greenlets::in_thread(py, move || watched.lease.detach())
        } else {
            blocking(py, || watched.lease.detach())
        }
    }

    /// `'name' token 17 held`
    pub(crate) fn describe(&self) -> String {
        format!("{:?} token {} {}", self.name(), self.token(), self.state())
    }
}

impl<L: CoreHeld + AsRef<LeaseGroup>> Held<L> {
    pub(crate) fn group(&self) -> &LeaseGroup {
        self.fixed().as_ref()
    }

    /// `'a', 'b' held`
    pub(crate) fn describe_all(&self) -> String {
        format!("{} {}", listed(self.group()), self.state())
    }
}

impl<L: CoreHeld> Drop for Held<L> {
    /// The Python object is collected: a lease that is still held is given back, and that is worth a warning.
    fn drop(&mut self) {
        if self.lease.get().is_none() {
            return;
        }
        Python::attach(|py| {
            self.clear();
            if !self.is_settled() && !self.releasing.load(Ordering::Relaxed) {
                // A collection may happen while an exception is on its way.
                let pending = PyErr::take(py);
                warn_unreleased(py, &self.fixed().what());
                if let Some(pending) = pending {
                    pending.restore(py);
                }
            }
        });
    }
}

fn warn_unreleased(py: Python<'_>, what: &str) {
    let text = format!(
        "{what} was not released; it is given back in the background (use `with`, release() or detach())"
    );
    let Ok(text) = std::ffi::CString::new(text) else {
        return;
    };
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1) {
        // Warnings are errors here, and a destructor cannot raise.
        error.write_unraisable(py, None);
    }
}
