//! What ends a blocking call from outside, be it a signal's handler or an exception set in the calling thread: the core
//! asks at intervals, and the thread lets Python look.

use std::cell::{Cell, RefCell};
use std::ptr;

use leaselock::Result;
use leaselock::blocking::Client;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::once;
use crate::process::{self, Process};
use crate::{errors, exit};

thread_local! {
    /// Whether this is the main thread, and in which process that was asked: a fork makes the forking thread main.
    static IS_MAIN: Cell<Option<(*const Process, bool)>> = const { Cell::new(None) };
    /// What the handler, or whoever set an exception, raised.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// For whom this thread may wait, until it was looked whether a loop stands still meanwhile.
    static WAIT: RefCell<Option<Wait>> = const { RefCell::new(None) };
}

/// What a call may wait for, other than the store.
pub(crate) enum Wait {
    /// For the end of a lease.
    ForEnd,
    /// In line, once this client has waiters.
    InLine(Client),
}

/// Makes a call that may block, without the GIL. A signal handler that raises ends it, and so does an exception that
/// another thread sets in this one.
pub(crate) fn blocking<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    note_thread(py);
    let done = py.detach(|| {
        let done = call();
        if !is_in_main() {
            exit::stay_if_over();
        }
        done
    });
    done.map_err(|error| errors::raise(py, &error))
}

/// [`blocking`] for what may wait for somebody else: in the thread of a running event loop that is worth a warning.
pub(crate) fn waiting<T: Send>(
    py: Python<'_>,
    wait: Wait,
    call: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    WAIT.set(Some(wait));
    let done = blocking(py, call);
    WAIT.take();
    done
}

/// What the core asks while a call blocks: whether to end it.
pub(crate) fn requested() -> Option<bool> {
    // Not at all where the interpreter is about to end.
    let looked = exit::attached(look)?;
    Some(looked.map_err(|error| RAISED.set(Some(error))).is_err())
}

/// Runs what Python has to run in this thread now.
fn look(py: Python<'_>) -> PyResult<()> {
    static NOTHING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let called_in = IS_MAIN.get().map(|(process, _)| process);
    match WAIT.take() {
        Some(Wait::InLine(client)) if client.stats().waiting == 0 => {
            WAIT.set(Some(Wait::InLine(client)));
        }
        Some(_) => errors::warn_of_loop(py)?,
        None => {}
    }
    // Of signals, which only the main thread does.
    py.check_signals()?;
    // An exception set from outside is raised where Python code begins to run.
    let nothing = once::made(py, &NOTHING, || {
        py.eval(c"lambda: None", None, None).map(Bound::unbind)
    })?;
    nothing.call0(py).map(drop).inspect_err(|error| {
        // It was raised in the blocking call, as far as anybody cares.
        error.set_traceback(py, None);
    })?;
    // A handler that forked comes back in the child too, which has nothing to wait for.
    if called_in.is_none_or(process::is_current) {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "the call stays with the process that forked this one",
    ))
}

/// What was raised, once.
pub(crate) fn take() -> Option<PyErr> {
    RAISED.take()
}

/// Finds out whether this is the main thread, once in a thread and process.
pub(crate) fn note_thread(py: Python<'_>) {
    let process = ptr::from_ref(process::current());
    if IS_MAIN
        .get()
        .is_none_or(|(asked_in, _)| asked_in != process)
    {
        // It cannot be asked when the interpreter is nearly gone; then there is nothing to interrupt either.
        IS_MAIN.set(Some((process, is_main(py).unwrap_or(false))));
    }
}

/// Whether this is the main thread, as noted.
pub(crate) fn is_in_main() -> bool {
    IS_MAIN.get().is_some_and(|(_, main)| main)
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}
