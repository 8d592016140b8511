//! The signals that reach this program, and whether the terminal sent them.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream as Pair;

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Origin;
use tokio::net::UnixStream;

use crate::exit::{Exit, Failure};

/// Ctrl-C.
pub(crate) const INTERRUPT: i32 = SIGINT;

/// Those that ask a program to end.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// A signal that was caught.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caught {
    pub(crate) number: i32,
    /// The kernel sent it, for Ctrl-C and the like, and so to the terminal's whole foreground process group; or else a
    /// process sent it, to whom it chose.
    from_terminal: bool,
}

impl Caught {
    /// It asks a program to end.
    pub(crate) fn is_ending(self) -> bool {
        ENDING.contains(&self.number)
    }

    /// It asks a program to stop until it is continued (Ctrl-Z).
    pub(crate) fn is_stop(self) -> bool {
        self.number == SIGTSTP
    }

    /// What the terminal sends has reached a command, too, that is in the same process group. Except that a hang-up may be
    /// told to the leader of a session alone.
    pub(crate) fn is_for_us_alone(self) -> bool {
        !self.from_terminal || self.number == SIGHUP
    }
}

impl From<Origin> for Caught {
    fn from(origin: Origin) -> Self {
        Self {
            number: origin.signal,
            from_terminal: origin.process.is_none(),
        }
    }
}

/// Catches signals while it lives.
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    caught: VecDeque<Caught>,
}

impl Signals {
    /// Those that a program with a screen of its own must know of.
    pub(crate) fn of_screen() -> Result<Self, Failure> {
        Self::catch(&[SIGTSTP, SIGCONT, SIGWINCH])
    }

    /// Those that are passed on to a command; and SIGCHLD, which is not.
    pub(crate) fn of_command() -> Result<Self, Failure> {
        Self::catch(&[SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGCHLD])
    }

    /// Catches these signals and those that ask to end, except those that whoever started this program wanted ignored (`nohup`, say).
    fn catch(others: &[i32]) -> Result<Self, Failure> {
        let numbers: Vec<_> = ENDING.iter().chain(others).copied().collect();
        Self::try_catch(&numbers)
            .map_err(|error| Failure::new(Exit::OS_ERROR, format!("cannot catch signals: {error}")))
    }

    fn try_catch(numbers: &[i32]) -> io::Result<Self> {
        let ignored = ignored();
        // An ignored SIGCHLD would swallow the exit status of a command.
        let kept = |number: &&i32| **number == SIGCHLD || ignored & (1 << (**number - 1)) == 0;
        // A handler writes into one end, and the other one is awaited.
        let (read, write) = Pair::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let numbers = numbers.iter().filter(kept);
        let read = UnixStream::from_std(read)?;
        Ok(Self {
            delivery: SignalDelivery::with_pipe(read, write, WithOrigin::default(), numbers)?,
            caught: VecDeque::new(),
        })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Caught {
        loop {
            if let Some(caught) = self.pending() {
                return caught;
            }
            let read = self.delivery.get_read();
            // Neither fails: both ends are ours.
            let _ = read.readable().await;
            while read.try_read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        }
    }

    /// A signal that has already come.
    pub(crate) fn pending(&mut self) -> Option<Caught> {
        if self.caught.is_empty() {
            self.caught
                .extend(self.delivery.pending().map(Caught::from));
        }
        self.caught.pop_front()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.delivery.handle().close();
    }
}

/// Ends this process as an unhandled Ctrl-C does; returns where that cannot be.
pub(crate) fn end_interrupted() {
    // Fails for signals that do not exist.
    let _ = emulate_default_handler(SIGINT);
}

/// Stops this whole process, as Ctrl-Z does, until someone continues it.
pub(crate) fn stop_here() {
    // A process may always send itself a signal.
    let _ = kill_process(getpid(), Signal::STOP);
}

/// The signals that are ignored, as bits. Only Linux tells without being asked by unsafe code; elsewhere none counts.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
