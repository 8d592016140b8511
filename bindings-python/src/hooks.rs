//! Callbacks of a lease that is lost.
//!
//! They belong to the lease's Python object, where the garbage collector sees them. The core is given no more than a
//! notice, a weak reference and a number, so the core's thread never touches a Python object.

use std::sync::{Arc, Mutex, Weak};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::core_lease::CoreHeld;
use crate::errors;
use crate::process::lock;

/// A lease, or a group of them, and the callbacks of its loss.
pub(crate) struct Watched<L> {
    pub(crate) lease: L,
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    last: u64,
    callables: Vec<(u64, Py<PyAny>)>,
}

impl<L: CoreHeld> Watched<L> {
    pub(crate) fn new(lease: L) -> Arc<Self> {
        Arc::new(Self {
            lease,
            hooks: Mutex::default(),
        })
    }

    /// Keeps a callback, and has `post` called with its notice when the lease is lost, on the core's thread.
    pub(crate) fn hook(
        self: &Arc<Self>,
        callable: Py<PyAny>,
        post: impl FnOnce(Notice) + Send + 'static,
    ) -> u64 {
        let id = {
            let mut hooks = lock(&self.hooks);
            hooks.last += 1;
            let id = hooks.last;
            hooks.callables.push((id, callable));
            id
        };
        let weak: Weak<dyn Opens> = Arc::downgrade(self) as _;
        let notice = Notice { lease: weak, id };
        self.lease.on_lost(Box::new(move |_| post(notice)));
        id
    }

    /// Takes a callback out: it is called no more.
    pub(crate) fn unhook(&self, id: u64) -> Option<Py<PyAny>> {
        let mut hooks = lock(&self.hooks);
        let at = hooks.callables.iter().position(|(other, _)| *other == id)?;
        Some(hooks.callables.swap_remove(at).1)
    }

    /// Drops all of them, which may run any Python code.
    pub(crate) fn clear(&self) {
        let callables = std::mem::take(&mut lock(&self.hooks).callables);
        drop(callables);
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Held by nobody while the collector runs; were it, what is not visited is not collected.
        if let Ok(hooks) = self.hooks.try_lock() {
            for (_, callable) in &hooks.callables {
                visit.call(callable)?;
            }
        }
        Ok(())
    }
}

/// Says that a lease was lost, to one of its callbacks.
pub(crate) struct Notice {
    lease: Weak<dyn Opens>,
    id: u64,
}

impl Notice {
    /// The callback and its argument; nothing when the lease was collected or the callback taken out.
    pub(crate) fn open(self, py: Python<'_>) -> Option<(Py<PyAny>, PyErr)> {
        self.lease.upgrade()?.open(py, self.id)
    }
}

trait Opens: Send + Sync {
    fn open(&self, py: Python<'_>, id: u64) -> Option<(Py<PyAny>, PyErr)>;
}

impl<L: CoreHeld> Opens for Watched<L> {
    fn open(&self, py: Python<'_>, id: u64) -> Option<(Py<PyAny>, PyErr)> {
        let callable = self.unhook(id)?;
        let error = self.lease.lost_error()?;
        Some((callable, errors::raise(py, &error)))
    }
}
