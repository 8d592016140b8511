//! A line that is open or to be opened, and what is under way on it. Nothing of Python is called here.

use std::collections::HashMap;
use std::mem;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaselock::line::{self as core, Done};
use pyo3::prelude::*;

use super::bridge::Bridge;
use super::operation::Slot;
use crate::process::lock;

/// A client that acquires once does not need a second connection.
const OPEN_AFTER: u32 = 2;
/// A line that could not be opened is tried again no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// A timer goes off this much later than it must, so that the time has come by any clock.
const TIMER_SLACK: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct State {
    pub(super) open: Option<Open>,
    pub(super) last: u64,
    /// The operations on the line that somebody waits for.
    pub(super) waiting: HashMap<u64, Waiting>,
    pub(super) opening: Option<Arc<Opening>>,
    /// Acquires that would have used it.
    missed: u32,
    not_before: Option<Instant>,
    pub(super) closed: bool,
}

pub(super) struct Open {
    pub(super) line: core::Line,
    pub(super) fd: RawFd,
    /// Operations that ended together, whose tasks may be about to begin others.
    resuming: usize,
    /// What the loop was asked for: to call `on_turn`, to watch for writing, and to call `on_time` at this time.
    turning: bool,
    writing: bool,
    timer: Option<Instant>,
}

pub(super) struct Waiting {
    pub(super) bridge: Py<Bridge>,
    pub(super) future: Py<PyAny>,
    pub(super) slot: Arc<Slot>,
}

/// What the loop is to be asked for.
#[derive(Default)]
pub(super) struct Due {
    pub(super) turn: bool,
    pub(super) writing: Option<(RawFd, bool)>,
    pub(super) timer: Option<Duration>,
}

/// Filled by the runtime's thread, and looked at when there is something to send.
#[derive(Default)]
pub(super) struct Opening(Mutex<Option<leaselock::Result<Option<core::Line>>>>);

impl State {
    /// What was opened meanwhile, if there can be a line and it is not in use yet.
    pub(super) fn opened(&mut self) -> Option<core::Line> {
        let opened = self.opening.as_ref()?.take()?;
        self.opening = None;
        match opened {
            Ok(Some(line)) => return Some(line),
            // There can be none.
            Ok(None) => self.closed = true,
            Err(_) => self.not_before = Instant::now().checked_add(REOPEN_AFTER),
        }
        None
    }

    /// Whether it is time to open a line.
    pub(super) fn wants_line(&mut self) -> bool {
        if self.closed || self.opening.is_some() {
            return false;
        }
        self.missed = self.missed.saturating_add(1);
        self.missed >= OPEN_AFTER && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    pub(super) fn begin_opening(&mut self) -> Arc<Opening> {
        self.opening.insert(Arc::default()).clone()
    }

    /// What has ended, with who waits for it; and what nobody waits for.
    pub(super) fn sort(&mut self, done: Vec<(u64, Done)>) -> (Vec<(Waiting, Done)>, Vec<Done>) {
        let mut ended = Vec::with_capacity(done.len());
        let mut unwanted = Vec::new();
        for (id, done) in done {
            match self.waiting.remove(&id) {
                Some(waiting) => ended.push((waiting, done)),
                None => unwanted.push(done),
            }
        }
        if let Some(open) = &mut self.open {
            open.resuming = ended.len();
        }
        (ended, unwanted)
    }

    /// A line that is to be closed, when nothing is under way on it.
    pub(super) fn take_idle(&mut self) -> Option<Open> {
        self.open.take_if(|open| self.closed && open.line.is_idle())
    }
}

impl Open {
    pub(super) fn new(line: core::Line, fd: RawFd) -> Self {
        Self {
            line,
            fd,
            resuming: 0,
            turning: false,
            writing: false,
            timer: None,
        }
    }

    /// Whether what begins now is likely to be all that begins in this turn of the loop; then it need not wait for its end.
    pub(super) fn is_alone(&mut self) -> bool {
        let is_alone = self.line.is_idle() && self.resuming <= 1;
        self.resuming = self.resuming.saturating_sub(1);
        is_alone
    }

    /// The loop has turned.
    pub(super) fn turn(&mut self) {
        self.turning = false;
        self.resuming = 0;
    }

    /// The acquires whose wait has run out.
    pub(super) fn give_up(&mut self) -> Vec<(u64, Done)> {
        self.timer = None;
        self.line.give_up()
    }

    /// Writes what was begun: now, or with all that begins in the same turn of the loop.
    pub(super) fn write(&mut self, now: bool, due: &mut Due) {
        if !now {
            due.turn = !mem::replace(&mut self.turning, true);
        } else if self.line.flush() == self.writing {
            self.writing = !self.writing;
            due.writing = Some((self.fd, self.writing));
        }
    }

    /// Sees that acquires with a short wait are given up in time.
    pub(super) fn set_timer(&mut self, due: &mut Due) {
        let Some(time) = self.line.gives_up_in() else {
            return;
        };
        let time = time + TIMER_SLACK;
        let at = Instant::now() + time;
        if self.timer.is_none_or(|set| at < set) {
            self.timer = Some(at);
            due.timer = Some(time);
        }
    }
}

impl Opening {
    pub(super) fn take(&self) -> Option<leaselock::Result<Option<core::Line>>> {
        lock(&self.0).take()
    }

    pub(super) fn put(&self, opened: leaselock::Result<Option<core::Line>>) {
        *lock(&self.0) = Some(opened);
    }
}
