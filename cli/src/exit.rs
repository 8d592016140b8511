//! How a command ends: exit statuses, and errors in one line.

use std::fmt::Display;
use std::io::{self, ErrorKind as Io, Write};

use crate::system::{INTERRUPT, end_interrupted};
use crate::text::escape;
use leaselock::ErrorKind;

/// An exit status. Those from 64 on are of sysexits.h, where it has a fitting one, and of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    code: i32,
    /// A signal ended it, or the command it ran.
    signal: Option<i32>,
}

impl Exit {
    pub(crate) const OK: Self = Self::new(0);
    /// There was no holder: not an error, but the other answer.
    pub(crate) const FREE: Self = Self::new(1);
    /// Someone else is the holder.
    pub(crate) const NOT_OWNER: Self = Self::new(2);
    /// The command line is wrong, or asks for what can never work (EX_USAGE).
    pub(crate) const USAGE: Self = Self::new(64);
    /// The store cannot be reached, or does not answer (EX_UNAVAILABLE).
    pub(crate) const UNAVAILABLE: Self = Self::new(69);
    /// Something inside failed that should not (EX_SOFTWARE).
    pub(crate) const SOFTWARE: Self = Self::new(70);
    /// The operating system refused a thread or a process (EX_OSERR).
    pub(crate) const OS_ERROR: Self = Self::new(71);
    /// The output could not be written (EX_IOERR).
    pub(crate) const IO_ERROR: Self = Self::new(74);
    /// Someone else has the lock, and the wait ran out (EX_TEMPFAIL).
    pub(crate) const TIMEOUT: Self = Self::new(75);
    /// The store said no: password, permissions, memory (EX_NOPERM).
    pub(crate) const REFUSED: Self = Self::new(77);
    /// The lease was lost while it was needed: the first status after those of sysexits.h.
    pub(crate) const LOST: Self = Self::new(79);
    /// A command that cannot be run, as shells say it.
    pub(crate) const NOT_RUNNABLE: Self = Self::new(126);
    /// A command that is not there, as shells say it.
    pub(crate) const NOT_FOUND: Self = Self::new(127);

    /// A status with a meaning of its own, such as a command's that was run.
    pub(crate) const fn new(code: i32) -> Self {
        Self { code, signal: None }
    }

    /// Ended by a signal: 128 more than its number, as shells say it.
    pub(crate) const fn signal(number: i32) -> Self {
        Self {
            code: 128 + number,
            signal: Some(number),
        }
    }

    /// The status to end with. Ctrl-C ends the process by its signal, and here: shells show it as the same status, and
    /// know by it that the script or loop around it is to end, too.
    pub(crate) fn end(self) -> i32 {
        if self.signal == Some(INTERRUPT) {
            end_interrupted();
        }
        self.code
    }
}

/// Why a command failed: its exit status, and one line for people.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit, message }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Shows it on stderr.
    pub(crate) fn report(&self) -> Exit {
        if !self.message.is_empty() {
            complain(&self.message);
        }
        self.exit
    }
}

impl From<leaselock::Error> for Failure {
    fn from(error: leaselock::Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::InvalidArgument => Exit::USAGE,
            ErrorKind::LockTimeout => Exit::TIMEOUT,
            ErrorKind::LeaseLost => Exit::LOST,
            ErrorKind::StoreUnavailable => Exit::UNAVAILABLE,
            ErrorKind::StoreRefused => Exit::REFUSED,
            _ => Exit::SOFTWARE,
        };
        Self::new(exit, error.message())
    }
}

/// Of writing to stdout.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever reads has seen enough, as in `leaselock ls | head -1`.
            Io::BrokenPipe => Self::new(Exit::OK, ""),
            _ => Self::new(Exit::IO_ERROR, format!("cannot write the output: {error}")),
        }
    }
}

/// Says something on stderr, in one line.
pub(crate) fn complain(message: impl Display) {
    let message = message.to_string();
    let words: Vec<_> = message.split_whitespace().collect();
    // Where stderr is gone nobody can be told.
    let _ = writeln!(io::stderr(), "leaselock: {}", escape(&words.join(" ")));
}
