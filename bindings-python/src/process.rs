//! What belongs to one process and is made anew after a fork.
//!
//! A child inherits memory, not threads: of whatever the runtime's thread may have held at that instant nothing can be
//! locked or dropped any more. So nothing inherited is touched. Each process in the line of forks appends a `Process`
//! to the list, the last one is current, and a value remembers whose it is. How a fork is noticed is in `forks.rs`.
//!
//! Locks of this crate that are shared with the runtime's thread are in such values. All others are taken by threads that
//! are attached to the interpreter, and given back before they run Python code or detach: a child in which Python can run
//! at all was forked by the thread that had the GIL, or, in a free-threaded Python, by `os.fork`, which stops all other
//! threads where they hold none. So none of them is taken there. For the same reason a thread that waits for one while it
//! is attached keeps nobody from anything for long.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use leaselock::ending::Clients;
use leaselock::fork;
use pyo3::exceptions::{PyImportError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::aio::line::Lines;
use crate::events::Events;
use crate::forks;
use crate::observe::Contexts;
use crate::runtime::Runtime;

/// One process in the line of forks.
pub(crate) struct Process {
    /// Log records, losses and what is observed, on their way to the callback thread.
    pub(crate) events: Events,
    /// Whether the callback thread was started.
    pub(crate) callbacks: AtomicBool,
    /// What its end closes.
    pub(crate) clients: Clients,
    pub(crate) lines: Lines,
    pub(crate) contexts: Contexts,
    runtime: OnceLock<Runtime>,
    /// Taken while the runtime is started.
    starting: Mutex<()>,
    next: OnceLock<Box<Process>>,
}

static FIRST: Process = Process::new();

impl Process {
    const fn new() -> Self {
        Self {
            events: Events::new(),
            callbacks: AtomicBool::new(false),
            clients: Clients::new(),
            lines: Lines::new(),
            contexts: Contexts::new(),
            runtime: OnceLock::new(),
            starting: Mutex::new(()),
            next: OnceLock::new(),
        }
    }

    /// The runtime of this process, started at first use.
    pub(crate) fn runtime(&self, py: Python<'_>) -> PyResult<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        // Without a GIL two threads may come here. Who waits lets the interpreter do its work meanwhile.
        let _alone = self.starting.lock_py_attached(py);
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = Runtime::start().map_err(|e| {
            PyRuntimeError::new_err(format!("leaselock cannot start its thread: {e}"))
        })?;
        Ok(self.runtime.get_or_init(|| runtime))
    }

    fn is_current(&self) -> bool {
        forks::notice();
        self.next.get().is_none()
    }
}

/// The process this is.
pub(crate) fn current() -> &'static Process {
    forks::notice();
    newest()
}

/// Whether it is the process this is.
pub(crate) fn is_current(process: *const Process) -> bool {
    std::ptr::eq(process, current())
}

fn newest() -> &'static Process {
    let mut process = &FIRST;
    while let Some(next) = process.next.get() {
        process = next;
    }
    process
}

/// In a child: a process of its own begins.
#[cfg_attr(windows, expect(dead_code, reason = "nothing forks there"))]
pub(crate) fn begin() {
    let _ = newest().next.set(Box::new(Process::new()));
}

/// A value of the process that made it. In a child it is neither used nor dropped: its memory is leaked.
pub(crate) struct Own<T> {
    process: &'static Process,
    value: Option<T>,
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: current(),
            value: Some(value),
        }
    }

    /// The value, unless it was inherited.
    pub(crate) fn get(&self) -> Option<&T> {
        if self.process.is_current() {
            self.value.as_ref()
        } else {
            None
        }
    }

    /// The value even where it was inherited: for fields that never change.
    pub(crate) fn peek(&self) -> &T {
        // Only `drop` takes it out.
        self.value
            .as_ref()
            .expect("the value is there until it is dropped")
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        let value = self.value.take();
        if !self.process.is_current() {
            std::mem::forget(value);
        }
    }
}

/// A value that every process in the line of forks makes for itself.
pub(crate) struct PerProcess<T> {
    own: Own<T>,
    next: OnceLock<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            own: Own::new(value),
            next: OnceLock::new(),
        }
    }

    /// This process's value, made now where only an inherited one is there.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        let mut link = self;
        loop {
            if let Some(value) = link.own.get() {
                return Ok(value);
            }
            let Some(next) = link.next.get() else {
                let fresh = Box::new(Self::new(make()?));
                // No fork comes in between: in its child, what is being set would be so for ever.
                let _kept = fork::hold();
                return Ok(link.next.get_or_init(|| fresh).own.peek());
            };
            link = next;
        }
    }
}

/// The statics here are one per process, so a second interpreter would mix up its objects with the first one's.
pub(crate) fn refuse_subinterpreter(_py: Python<'_>) -> PyResult<()> {
    static OWNER: OnceLock<i64> = OnceLock::new();
    let id = interpreter_id();
    if *OWNER.get_or_init(|| id) == id {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "leaselock does not support subinterpreters: import it in the main interpreter only",
    ))
}

#[allow(
    unsafe_code,
    reason = "no safe way to ask which interpreter this is; the caller is attached to it"
)]
fn interpreter_id() -> i64 {
    // SAFETY: both take no pointers of ours, and the module's initialiser runs attached.
    unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) }
}

/// Locks a mutex. A panic elsewhere leaves every value here as whole as it was, so a poisoned one is used as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
