//! The end of the process: what is still held or waited for is given back, by one effort of a second at most.
//!
//! It comes last, when no Python code runs any more: the interpreter calls [`at_exit`] at the very end of its own. Until
//! then everything works, also what `atexit` runs. A child that `multiprocessing` forked ends without that; there
//! `leaselock._exit` calls [`end_process`].

use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::{interrupt, process};

/// How long the end of the process waits for the stores.
const LIMIT: Duration = Duration::from_secs(1);
/// How long it waits for threads that run Python code which we call.
const INSIDE_LIMIT: Duration = Duration::from_millis(100);
/// How long such a thread waits for the end.
const ASIDE: Duration = Duration::from_millis(100);

/// The interpreter is about to end.
static EXITING: AtomicBool = AtomicBool::new(false);
/// How many threads run Python code that we call, or wait to.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// No Python code runs any more, or at most in the main thread.
static OVER: AtomicBool = AtomicBool::new(false);

#[allow(
    unsafe_code,
    reason = "no safe way to be called after the interpreter's end, which nothing else comes after"
)]
pub(crate) fn install(_py: Python<'_>) {
    // SAFETY: the function is called once, in the thread that ends the interpreter, and uses nothing of Python. Where the
    // table of such functions is full, names stay taken for their TTL, as after a kill.
    unsafe { pyo3::ffi::Py_AtExit(Some(at_exit)) };
}

extern "C" fn at_exit() {
    // A panic must not leave it, and has been told by its hook.
    let _ = panic::catch_unwind(end);
}

fn end() {
    OVER.store(true, Ordering::SeqCst);
    let process = process::current();
    process.lines.end();
    process.clients.end(LIMIT);
}

/// Calls Python code from a method or a wait of ours. A thread that is in there when the interpreter ends would be unwound
/// through our frames, which aborts the process, or be stuck with what it has in hand. So the end waits for those inside,
/// and who comes later waits for the end.
pub(crate) fn python<T>(py: Python<'_>, call: impl FnOnce() -> T) -> T {
    let _inside = Inside::enter();
    if EXITING.load(Ordering::SeqCst) && !interrupt::is_in_main() {
        // A handler of `atexit` may still wait for this thread.
        py.detach(|| {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            thread::sleep(ASIDE);
            INSIDE.fetch_add(1, Ordering::SeqCst);
        });
    }
    call()
}

/// The same for a thread that is not attached; not at all where the interpreter is about to end.
pub(crate) fn attached<T>(call: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _inside = Inside::enter();
    if EXITING.load(Ordering::SeqCst) && !interrupt::is_in_main() {
        return None;
    }
    Python::try_attach(call)
}

/// Counts a thread.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Keeps a thread that comes back from a call when there is nothing any more to come back to. Not for the main thread.
pub(crate) fn stay_if_over() {
    while OVER.load(Ordering::Relaxed) {
        thread::park();
    }
}

/// Called by `atexit`: from here on threads keep clear of the interpreter's end.
#[pyfunction]
pub(crate) fn begin_exit(py: Python<'_>) {
    EXITING.store(true, Ordering::SeqCst);
    interrupt::note_thread(py);
    let give_up_at = Instant::now() + INSIDE_LIMIT;
    while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < give_up_at {
        py.detach(|| thread::sleep(Duration::from_millis(1)));
    }
}

/// Closes every client of a process whose main thread is about to end it, without ending its interpreter.
#[pyfunction]
pub(crate) fn end_process(py: Python<'_>) {
    py.detach(end);
}
