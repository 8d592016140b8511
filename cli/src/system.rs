//! What each system does in its own way: signals, and a command that is run.
//!
//! One folder for each, with the same items in it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as this;
#[cfg(windows)]
use windows as this;

use std::ffi::OsStr;
use std::io;

use crate::exit::{Exit, Failure};

pub(crate) use this::child::{ASKED_BY, Running};
pub(crate) use this::signals::{Caught, INTERRUPT, Signals, end_interrupted, stop_here};

/// What happened to the command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// It was stopped by the terminal (Ctrl-Z).
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is stopped there"))]
    StoppedByTerminal,
    /// Something else has stopped it: a debugger, or SIGSTOP.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is stopped there"))]
    Stopped,
    /// It has ended; [`Running::status`] says how.
    Ended,
}

/// The failure of starting a command.
fn cannot_run(program: &OsStr, error: &io::Error) -> Failure {
    let (exit, why) = match error.kind() {
        io::ErrorKind::NotFound => (Exit::NOT_FOUND, "there is no such command".into()),
        _ => (Exit::NOT_RUNNABLE, error.to_string()),
    };
    let program = program.display();
    Failure::new(exit, format!("cannot run \"{program}\": {why}"))
}
