//! Signals in a blocking call: the core asks, and the main thread looks whether Python has a handler to run.

use std::cell::{Cell, RefCell};
use std::ptr;

use leaselock::Result;
use pyo3::prelude::*;

use crate::errors;
use crate::process::{self, Process};

thread_local! {
    /// Whether this is the main thread, and in which process that was asked: a fork makes the forking thread main.
    static IS_MAIN: Cell<Option<(*const Process, bool)>> = const { Cell::new(None) };
    /// What the signal handler raised.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Makes a call that may block, without the GIL. A signal handler that raises ends it.
pub(crate) fn blocking<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    note_thread(py);
    py.detach(call).map_err(|error| errors::raise(py, &error))
}

/// What the core asks while a call blocks: whether to end it.
pub(crate) fn requested() -> Option<bool> {
    // Handlers run on the main thread only, and only it takes the GIL for this.
    IS_MAIN.get().filter(|(_, main)| *main)?;
    Some(Python::attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(error) => {
            RAISED.set(Some(error));
            true
        }
    }))
}

/// What the handler raised, once.
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

fn is_main(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}
