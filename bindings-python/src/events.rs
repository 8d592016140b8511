//! Log records, losses and what is observed on their way from the core's thread to the Python thread that runs callbacks.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use leaselock::LockEvent;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::hooks::Notice;
use crate::log::Entry;
use crate::observe;
use crate::process::{self, lock};

/// More log records than this are not kept while nobody takes them, say because a C call holds the GIL.
const MOST_RECORDS: usize = 1000;
/// The same for what is observed, which is told in batches.
const MOST_OBSERVED: usize = 100_000;
/// What is observed is told this much later, together with what comes meanwhile: a wake for each would cost more than the rest.
const GATHER: Duration = Duration::from_millis(50);
/// So much is told at a time, so that a callback does not wait for more.
const BATCH: usize = 256;
/// How long a client that is closed waits for the observers.
const FLUSH: Duration = Duration::from_secs(1);

pub(crate) enum Event {
    /// A record for the logger.
    Log(Entry),
    /// A callback of a lost lease.
    Lost(Notice),
    /// What the observers are to be told.
    Observed(Vec<LockEvent>),
}

/// The queue between them. Pushing needs no GIL.
pub(crate) struct Events {
    state: Mutex<State>,
    ready: Condvar,
    told: Condvar,
}

struct State {
    queue: VecDeque<Event>,
    records: usize,
    observed: VecDeque<LockEvent>,
    /// When to tell what is observed.
    tell_at: Option<Instant>,
    /// What is observed is being told.
    telling: bool,
    /// So many were not kept.
    missed: u64,
    /// Who takes events.
    taker: Option<ThreadId>,
    stopped: bool,
}

impl Events {
    pub(crate) const fn new() -> Self {
        let state = State {
            queue: VecDeque::new(),
            records: 0,
            observed: VecDeque::new(),
            tell_at: None,
            telling: false,
            missed: 0,
            taker: None,
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
            told: Condvar::new(),
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

    /// Keeps what the observers are to be told.
    pub(crate) fn observed(&self, event: LockEvent) {
        let mut state = lock(&self.state);
        if state.observed.len() >= MOST_OBSERVED {
            state.missed += 1;
            return;
        }
        state.observed.push_back(event);
        let is_first = state.tell_at.is_none();
        if is_first {
            state.tell_at = Some(Instant::now() + GATHER);
        }
        drop(state);
        if is_first {
            self.ready.notify_one();
        }
    }

    /// Has what is observed told now, and waits until it was; not in the thread that tells it.
    pub(crate) fn flush(&self) {
        let limit = Instant::now() + FLUSH;
        let mut state = lock(&self.state);
        // The thread may be about to start.
        if state.taker == Some(thread::current().id()) {
            return;
        }
        while !state.stopped && (state.telling || !state.observed.is_empty()) {
            state.tell_at = Some(Instant::now());
            self.ready.notify_one();
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.told.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the next event; `None` when there will be no more.
    fn wait(&self) -> Option<Event> {
        let mut state = lock(&self.state);
        state.taker = Some(thread::current().id());
        if std::mem::take(&mut state.telling) {
            self.told.notify_all();
        }
        loop {
            if let Some(event) = state.next() {
                return Some(event);
            }
            if state.stopped {
                return None;
            }
            let left = state
                .tell_at
                .map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) => {
                    let waited = self.ready.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .ready
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Forgets what is observed: there is nobody any more to tell.
    pub(crate) fn forget_observed(&self) {
        let forgotten = std::mem::take(&mut lock(&self.state).observed);
        drop(forgotten);
        self.report_missed();
    }

    /// Says how many events the observers have missed since this was said.
    fn report_missed(&self) {
        let missed = std::mem::take(&mut lock(&self.state).missed);
        if missed > 0 {
            tracing::warn!(
                target: "leaselock", event = "observers_behind", missed,
                "observers are too slow, and were not told of everything"
            );
        }
    }

    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.ready.notify_all();
    }
}

impl State {
    /// What there is to do now. At the end the observers hear of the rest at once, and nobody else does.
    fn next(&mut self) -> Option<Event> {
        if !self.stopped
            && let Some(event) = self.queue.pop_front()
        {
            if let Event::Log(..) = event {
                self.records -= 1;
            }
            return Some(event);
        }
        if !self.stopped && self.tell_at.is_none_or(|at| at > Instant::now()) {
            return None;
        }
        if self.observed.is_empty() {
            self.tell_at = None;
            return None;
        }
        let batch = self.observed.len().min(BATCH);
        let batch = self.observed.drain(..batch).collect();
        if self.observed.is_empty() {
            self.tell_at = None;
        }
        self.telling = true;
        Some(Event::Observed(batch))
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
///     `(level, message, fields as text, fields)` to log, `(callback, error)` to call, or `(batch,)` for the
///     observers.
#[pyfunction]
pub(crate) fn next_event(py: Python<'_>) -> PyResult<Option<Bound<'_, PyTuple>>> {
    let events = &process::current().events;
    while let Some(event) = py.detach(|| events.wait()) {
        match event {
            Event::Log(entry) => return entry.into_python(py)?.into_pyobject(py).map(Some),
            Event::Observed(batch) => {
                events.report_missed();
                return (observe::batch(py, batch),).into_pyobject(py).map(Some);
            }
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
