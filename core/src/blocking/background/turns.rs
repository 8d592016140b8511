//! Whose turn it is to drive: that of the callers, or of the thread while there is none.

use super::primitives::{Condvar, Mutex, Notify, lock, wait};

pub(super) struct Turns<J> {
    state: Mutex<State<J>>,
    /// Tells the thread that a caller drives from now on, or that the end has come.
    pub(super) step_aside: Notify,
    /// Tells the thread that no caller drives any more, or that the end has come.
    alone: Condvar,
}

struct State<J> {
    /// How many callers wait, one of whom drives.
    callers: usize,
    /// The end has come, and this is done before.
    last_job: Option<J>,
}

impl<J> Turns<J> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                callers: 0,
                last_job: None,
            }),
            step_aside: Notify::new(),
            alone: Condvar::new(),
        }
    }

    /// A caller comes.
    pub(super) fn begin(&self) {
        let mut state = lock(&self.state);
        state.callers += 1;
        let first = state.callers == 1;
        drop(state);
        if first {
            self.step_aside.notify_one();
        }
    }

    /// A caller goes.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.callers -= 1;
        let last = state.callers == 0;
        // Whoever is woken must not meet the lock.
        drop(state);
        if last {
            self.alone.notify_one();
        }
    }

    /// The end comes.
    pub(super) fn stop(&self, last_job: J) {
        let mut state = lock(&self.state);
        state.last_job = Some(last_job);
        self.step_aside.notify_one();
        self.alone.notify_one();
    }

    /// The thread, which has stepped aside, waits until it is to drive again; at the end it is given the last job.
    pub(super) fn wait(&self) -> Option<J> {
        let mut state = lock(&self.state);
        while state.callers > 0 && state.last_job.is_none() {
            state = wait(&self.alone, state);
        }
        state.last_job.take()
    }
}
