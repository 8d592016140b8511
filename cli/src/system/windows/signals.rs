//! What a console tells its programs. Each kind counts as the signal that says the same elsewhere.

use std::io;
use std::task::{Context, Poll, Waker};

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close,
    ctrl_logoff, ctrl_shutdown,
};

use crate::exit::{Exit, Failure};

/// Ctrl-C.
pub(crate) const INTERRUPT: i32 = 2;
/// The console was closed.
const HANG_UP: i32 = 1;
/// The user logs off, or the machine is shut down.
const TERMINATE: i32 = 15;
/// Ctrl-Break, by the number that the C library has for it.
const BREAK: i32 = 21;

/// An event of the console.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caught {
    pub(crate) number: i32,
}

#[allow(clippy::unused_self, reason = "as on Unix")]
impl Caught {
    /// All of them ask a program to end.
    pub(crate) fn is_ending(self) -> bool {
        true
    }

    /// Nothing stops a program until it is continued.
    pub(crate) fn is_stop(self) -> bool {
        false
    }

    /// A command has a process group of its own, which Ctrl-C and Ctrl-Break do not reach.
    pub(crate) fn is_for_us_alone(self) -> bool {
        matches!(self.number, INTERRUPT | BREAK)
    }
}

/// Catches them while it lives.
pub(crate) struct Signals {
    c: CtrlC,
    r#break: CtrlBreak,
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
}

impl Signals {
    pub(crate) fn of_screen() -> Result<Self, Failure> {
        Self::catch()
    }

    pub(crate) fn of_command() -> Result<Self, Failure> {
        Self::catch()
    }

    fn catch() -> Result<Self, Failure> {
        Self::try_catch()
            .map_err(|error| Failure::new(Exit::OS_ERROR, format!("cannot catch Ctrl-C: {error}")))
    }

    fn try_catch() -> io::Result<Self> {
        Ok(Self {
            c: ctrl_c()?,
            r#break: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Caught {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// One that has already come.
    pub(crate) fn pending(&mut self) -> Option<Caught> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(caught) => Some(caught),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Caught> {
        let numbers = [
            (self.c.poll_recv(context), INTERRUPT),
            (self.r#break.poll_recv(context), BREAK),
            (self.close.poll_recv(context), HANG_UP),
            (self.logoff.poll_recv(context), TERMINATE),
            (self.shutdown.poll_recv(context), TERMINATE),
        ];
        let come = numbers.into_iter().find(|(polled, _)| polled.is_ready());
        come.map_or(Poll::Pending, |(_, number)| Poll::Ready(Caught { number }))
    }
}

/// The exit status says it here.
pub(crate) fn end_interrupted() {}

/// Nothing asks for it.
pub(crate) fn stop_here() {}
