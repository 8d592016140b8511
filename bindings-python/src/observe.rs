//! What happens to locks, on its way from the core to the observers, on the thread that runs callbacks.
//!
//! A context stays here, in a table that only attached threads touch; the core has its number. So the core's threads never
//! touch a Python object, and what they drop in a moment of fork is a number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use leaselock::{Context, ErrorKind, GroupRequest, LockEvent, LossReason, Observer, Request};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::once;
use crate::process::{self, lock};
use crate::records::seconds;

/// How many observe, in this process and in those that it forks.
static LISTENING: AtomicI64 = AtomicI64::new(0);
/// How many do so in the context of each acquire.
static IN_CONTEXT: AtomicI64 = AtomicI64::new(0);
/// So many contexts that nobody will ask for any more are kept until the next event.
const GONE: usize = 1_000;

/// The one observer of every client.
pub(crate) struct ToPython;

impl Observer for ToPython {
    fn on_event(&self, event: LockEvent) {
        process::current().events.observed(event);
    }

    fn is_listening(&self) -> bool {
        LISTENING.load(Ordering::Relaxed) > 0
    }
}

/// The contexts of what is under way, by number.
pub(crate) struct Contexts {
    /// Touched by attached threads alone.
    kept: Mutex<Option<HashMap<u64, Py<PyAny>>>>,
    /// Those that nobody will ask for any more. Touched by every thread, so it is made anew after a fork.
    gone: Mutex<Vec<u64>>,
}

static LAST: AtomicU64 = AtomicU64::new(0);

/// The number of a context, shared by a request and what comes of it.
struct Number(u64);

impl Drop for Number {
    fn drop(&mut self) {
        lock(&process::current().contexts.gone).push(self.0);
    }
}

impl Contexts {
    pub(crate) const fn new() -> Self {
        Self {
            kept: Mutex::new(None),
            gone: Mutex::new(Vec::new()),
        }
    }

    fn keep(&self, context: Py<PyAny>) -> Number {
        if lock(&self.gone).len() > GONE {
            self.sweep();
        }
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let mut kept = lock(&self.kept);
        kept.get_or_insert_default().insert(number, context);
        Number(number)
    }

    fn get(&self, py: Python<'_>, number: u64) -> Option<Py<PyAny>> {
        let kept = lock(&self.kept);
        Some(kept.as_ref()?.get(&number)?.clone_ref(py))
    }

    /// Drops those that nobody will ask for any more.
    fn sweep(&self) {
        let gone = std::mem::take(&mut *lock(&self.gone));
        let dropped: Vec<_> = {
            let mut kept = lock(&self.kept);
            let Some(kept) = kept.as_mut() else { return };
            gone.iter()
                .filter_map(|number| kept.remove(number))
                .collect()
        };
        // Which may run any Python code.
        drop(dropped);
    }
}

/// The request with the caller's context, in which observers will hear of it; as it is where nobody wants that.
pub(crate) fn in_context(py: Python<'_>, request: Request) -> PyResult<Request> {
    let context = context(py)?;
    Ok(match context {
        Some(context) => request.in_context(context),
        None => request,
    })
}

/// The same for several locks.
pub(crate) fn all_in_context(py: Python<'_>, request: GroupRequest) -> PyResult<GroupRequest> {
    let context = context(py)?;
    Ok(match context {
        Some(context) => request.in_context(&context),
        None => request,
    })
}

/// The caller's context; none where nobody observes.
fn context(py: Python<'_>) -> PyResult<Option<Context>> {
    static COPY_CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if IN_CONTEXT.load(Ordering::Relaxed) <= 0 {
        return Ok(None);
    }
    let copy_context = once::imported(py, &COPY_CONTEXT, "contextvars", "copy_context")?;
    let context = copy_context.call0()?.unbind();
    let number = process::current().contexts.keep(context);
    Ok(Some(Arc::new(number)))
}

/// Events and the context of each, for the observers.
pub(crate) type Batch = Vec<(PyLockEvent, Option<Py<PyAny>>)>;

/// What Python sees of `events`.
pub(crate) fn batch(py: Python<'_>, events: impl IntoIterator<Item = LockEvent>) -> Batch {
    let contexts = &process::current().contexts;
    contexts.sweep();
    let with_context = |mut event: LockEvent| {
        let context = event.take_context();
        let number = context.as_ref().and_then(|it| it.downcast_ref::<Number>());
        let context = number.and_then(|number| contexts.get(py, number.0));
        (PyLockEvent(event), context)
    };
    events.into_iter().map(with_context).collect()
}

/// Says that so many more observe, or fewer, and whether in the context of each acquire.
#[pyfunction]
pub(crate) fn observing(change: i64, in_context: bool) {
    if in_context {
        IN_CONTEXT.fetch_add(change, Ordering::Relaxed);
    }
    if LISTENING.fetch_add(change, Ordering::Relaxed) + change <= 0 {
        process::current().events.forget_observed();
    }
}

/// Waits until the observers have heard of all that has happened so far, for a second at most.
#[pyfunction]
pub(crate) fn flush_observed(py: Python<'_>) {
    if LISTENING.load(Ordering::Relaxed) > 0 {
        py.detach(|| process::current().events.flush());
    }
}

/// Something that happened to a lock, as `observe` tells of it.
///
/// Every acquire ends in one of `acquired`, `timed_out`, `busy`, `cancelled` and `failed`, and every lease in one of
/// `released`, `detached` and `lost`. All events of an acquire and of its lease have the same `owner`.
#[pyclass(frozen, name = "LockEvent", module = "leaselock")]
pub(crate) struct PyLockEvent(LockEvent);

#[pymethods]
impl PyLockEvent {
    /// What happened: `queued` (an acquire begins to wait in line), `acquired`, `timed_out`, `busy` (one that tries
    /// once met a holder), `cancelled`, `failed`, `renewed`, `unsure` (a renewal failed and is tried again),
    /// `released`, `detached`, `lost`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind().as_str()
    }

    /// When it happened, in seconds since the epoch, as `time.time()` counts.
    #[getter]
    fn at(&self) -> f64 {
        let since = self.0.at().duration_since(UNIX_EPOCH);
        since.map_or(0.0, seconds)
    }

    /// The id of the client, `client.id`.
    #[getter]
    fn client(&self) -> &str {
        self.0.client()
    }

    /// The app id of the client, empty for none.
    #[getter]
    fn app_id(&self) -> &str {
        self.0.app_id()
    }

    /// The lock's name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The owner string of the acquire and of its lease.
    #[getter]
    fn owner(&self) -> &str {
        self.0.owner()
    }

    /// The fencing token; None for an acquire that came to nothing, or waits.
    #[getter]
    fn token(&self) -> Option<u64> {
        self.0.kind().token()
    }

    /// Seconds that the acquire took, where this is its end; else None.
    #[getter]
    fn waited(&self) -> Option<f64> {
        self.0.kind().waited().map(seconds)
    }

    /// For `acquired`, whether somebody else held the lock at first; else None.
    #[getter]
    fn contended(&self) -> Option<bool> {
        self.0.kind().contended()
    }

    /// Seconds that the lease was held, where this is its end; else None.
    #[getter]
    fn held(&self) -> Option<f64> {
        self.0.kind().held().map(seconds)
    }

    /// For `lost`, why; else None.
    #[getter]
    fn reason(&self) -> Option<&'static str> {
        self.0.kind().reason().map(LossReason::as_str)
    }

    /// For `failed`, the code of the error, such as `STORE_UNAVAILABLE`; else None.
    #[getter]
    fn error(&self) -> Option<&'static str> {
        self.0.kind().error().map(ErrorKind::code)
    }

    fn __repr__(&self) -> String {
        let event = &self.0;
        format!(
            "<LockEvent {} {:?} owner={:?}>",
            event.kind().as_str(),
            event.name(),
            event.owner()
        )
    }
}
