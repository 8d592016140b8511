//! The leases of a lock object that is entered again and again: which of them a block gives back when it is left.

use std::sync::Mutex;
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::once;
use crate::process::lock;

/// Where a block is entered or left: in which call of which function, by which thread, greenlet and task.
///
/// A `with` statement enters and leaves in the same frame, whatever runs in between: other greenlets and tasks, other
/// generators, or the same generator in another thread. An `ExitStack` and the like enter in one call and leave in
/// another; of them the thread, the greenlet and the task are known.
#[derive(Clone, PartialEq)]
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct Place {
    /// The addresses of a frame and of its code. A frame that is over may have left its address to another, but seldom
    /// to one of the same code.
    frame: Option<(usize, usize)>,
    runner: (ThreadId, usize, usize),
}

#[pymethods]
impl Place {
    /// The caller's, so many calls up.
    #[new]
    pub(crate) fn new(py: Python<'_>, depth: u32) -> PyResult<Self> {
        Ok(Self {
            frame: frame(py, depth)?,
            runner: (thread::current().id(), greenlet(py)?, task(py)?),
        })
    }
}

fn frame(py: Python<'_>, depth: u32) -> PyResult<Option<(usize, usize)>> {
    static GET_FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match once::imported(py, &GET_FRAME, "sys", "_getframe")?.call1((depth,)) {
        Ok(frame) => {
            let code = frame.getattr("f_code")?;
            Ok(Some((address(&frame), address(&code))))
        }
        // No Python code called.
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The running greenlet; 0 where greenlets are not used.
fn greenlet(py: Python<'_>) -> PyResult<usize> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    match once::imported(py, &MODULES, "sys", "modules")?.get_item("greenlet")? {
        Some(greenlet) if !greenlet.is_none() => Ok(address(&greenlet.call_method0("getcurrent")?)),
        _ => Ok(0),
    }
}

/// The running task; 0 outside of any.
fn task(py: Python<'_>) -> PyResult<usize> {
    static GET_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static GET_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = once::imported(py, &GET_LOOP, "asyncio", "_get_running_loop")?.call0()?;
    if running.is_none() {
        return Ok(0);
    }
    let task = once::imported(py, &GET_TASK, "asyncio", "current_task")?.call1((running,))?;
    Ok(if task.is_none() { 0 } else { address(&task) })
}

fn address(object: &Bound<'_, PyAny>) -> usize {
    object.as_ptr().addr()
}

/// The leases of one lock object that blocks have entered and not left.
#[pyclass(frozen, module = "leaselock._native")]
#[derive(Default)]
pub(crate) struct Entries(Mutex<Vec<(Place, Py<PyAny>)>>);

#[pymethods]
impl Entries {
    #[new]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A block was entered at this place with this lease.
    pub(crate) fn push(&self, place: &Bound<'_, Place>, lease: Py<PyAny>) {
        self.add(place.get().clone(), lease);
    }

    /// The lease of the block that is left at this place; None where none was entered.
    ///
    /// It is the one entered last in the same frame; or else by the same thread, greenlet and task; or else the oldest.
    pub(crate) fn pop(&self, place: &Bound<'_, Place>) -> Option<Py<PyAny>> {
        self.take(place.get())
    }

    pub(crate) fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Held by nobody while the collector runs; were it, what is not visited is not collected.
        if let Ok(entered) = self.0.try_lock() {
            for (_, lease) in entered.iter() {
                visit.call(lease)?;
            }
        }
        Ok(())
    }

    pub(crate) fn __clear__(&self) {
        let entered = std::mem::take(&mut *lock(&self.0));
        drop(entered);
    }
}

impl Entries {
    pub(crate) fn add(&self, place: Place, lease: Py<PyAny>) {
        lock(&self.0).push((place, lease));
    }

    pub(crate) fn take(&self, place: &Place) -> Option<Py<PyAny>> {
        let mut entered = lock(&self.0);
        let of_frame =
            |(other, _): &(Place, _)| place.frame.is_some() && other.frame == place.frame;
        let of_runner = |(other, _): &(Place, _)| other.runner == place.runner;
        let at = entered
            .iter()
            .rposition(of_frame)
            .or_else(|| entered.iter().rposition(of_runner))
            .unwrap_or(0);
        (at < entered.len()).then(|| entered.remove(at).1)
    }
}
