//! Log records and losses on their way from the core's thread to the Python thread that runs callbacks.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex};

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::hooks::Notice;
use crate::log::Entry;
use crate::process::{self, lock};

/// More log records than this are not kept while nobody takes them, say because a C call holds the GIL.
const MOST_RECORDS: usize = 1000;

pub(crate) enum Event {
    /// A record for the logger.
    Log(Entry),
    /// A callback of a lost lease.
    Lost(Notice),
}

/// The queue between them. Pushing needs no GIL.
pub(crate) struct Events {
    state: Mutex<State>,
    ready: Condvar,
}

struct State {
    queue: VecDeque<Event>,
    records: usize,
    stopped: bool,
}

impl Events {
    pub(crate) const fn new() -> Self {
        let state = State {
            queue: VecDeque::new(),
            records: 0,
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
        }
    }

    pub(crate) fn push(&self, event: Event) {
        let mut state = lock(&self.state);
        if let Event::Log(..) = event {
            if state.records >= MOST_RECORDS {
                return;
            }
            state.records += 1;
        }
        state.queue.push_back(event);
        drop(state);
        self.ready.notify_one();
    }

    /// Waits for the next event; `None` when there will be no more.
    fn wait(&self) -> Option<Event> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            if let Some(event) = state.queue.pop_front() {
                if let Event::Log(..) = event {
                    state.records -= 1;
                }
                return Some(event);
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.ready.notify_all();
    }
}

/// Starts the callback thread of this process, and sees to the end of the process, once.
pub(crate) fn start_callbacks(py: Python<'_>) -> PyResult<()> {
    if process::current().callbacks.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    py.import("leaselock._exit")?.call_method0("prepare")?;
    py.import("leaselock._callbacks")?.call_method0("start")?;
    Ok(())
}

/// Waits for the next thing to do; None when the interpreter ends.
///
/// Returns:
///     `(level, message, fields as text, fields)` to log, or `(callback, error)` to call.
#[pyfunction]
pub(crate) fn next_event(py: Python<'_>) -> PyResult<Option<Bound<'_, PyTuple>>> {
    let events = &process::current().events;
    while let Some(event) = py.detach(|| events.wait()) {
        match event {
            Event::Log(entry) => return entry.into_python(py)?.into_pyobject(py).map(Some),
            Event::Lost(notice) => {
                if let Some((callback, error)) = notice.open(py) {
                    return (callback, error.into_bound_py_any(py)?)
                        .into_pyobject(py)
                        .map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// Ends the callback thread; the interpreter is about to.
#[pyfunction]
pub(crate) fn stop_events() {
    process::current().events.stop();
}
