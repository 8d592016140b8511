//! How a command ends: exit statuses, and errors in one line.

use std::fmt::Display;

use leaselock::ErrorKind;

/// An exit status. Those from 64 on are of sysexits.h, where it has a fitting one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(u8);

impl Exit {
    pub(crate) const OK: Self = Self(0);
    /// The command line is wrong, or says what can never work (EX_USAGE).
    pub(crate) const USAGE: Self = Self(64);
    /// The store cannot be reached, or does not answer (EX_UNAVAILABLE).
    pub(crate) const UNAVAILABLE: Self = Self(69);
    /// Something inside failed that should not (EX_SOFTWARE).
    pub(crate) const SOFTWARE: Self = Self(70);
    /// The operating system refused something (EX_OSERR).
    pub(crate) const OS_ERROR: Self = Self(71);
    /// The output could not be written (EX_IOERR).
    pub(crate) const IO_ERROR: Self = Self(74);
    /// Somebody else has the lock, and the wait ran out (EX_TEMPFAIL).
    pub(crate) const TIMEOUT: Self = Self(75);
    /// The store said no: password, permissions, memory (EX_NOPERM).
    pub(crate) const REFUSED: Self = Self(77);
    /// The lease was lost while it was needed; the first one that sysexits.h leaves free.
    pub(crate) const LOST: Self = Self(79);

    pub(crate) const fn new(code: u8) -> Self {
        Self(code)
    }

    pub(crate) fn code(self) -> i32 {
        self.0.into()
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

    /// Shows it on stderr.
    pub(crate) fn report(&self) -> Exit {
        complain(&self.message);
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

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Who reads our output has seen enough, as in `leaselock ls | head -1`.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::OK, "");
        }
        Self::new(Exit::IO_ERROR, format!("cannot write: {error}"))
    }
}

/// Says something on stderr, in one line. Where stderr is gone nobody can be told.
pub(crate) fn complain(message: impl Display) {
    use std::io::Write;
    let message = message.to_string();
    if !message.is_empty() {
        let line: Vec<_> = message.split_whitespace().collect();
        let _ = writeln!(std::io::stderr(), "leaselock: {}", line.join(" "));
    }
}

/// Shows what clap has to say: a help text on stdout, or what is wrong with the command line on stderr, in one line.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => Exit::OK,
            Err(error) => Failure::from(error).report(),
        };
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = text
        .find("\n\nUsage:")
        .or_else(|| text.find("\n\nFor more information"));
    complain(format!(
        "{} (try --help)",
        &text[..end.unwrap_or(text.len())]
    ));
    Exit::USAGE
}
