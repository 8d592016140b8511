//! The signals that reach this program, and whether the terminal sent them.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream as Pair;

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use tokio::net::UnixStream;

use crate::exit::{Exit, Failure};

/// Those that ask a program to end.
pub(crate) const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// A signal that was caught.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caught {
    pub(crate) number: i32,
    /// The kernel sent it, for Ctrl-C and the like, and so to the terminal's whole foreground process group; or else a
    /// process sent it, to whom it chose.
    pub(crate) from_terminal: bool,
}

impl Caught {
    pub(crate) fn is_ending(self) -> bool {
        ENDING.contains(&self.number)
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
    /// Catches these signals, except those that whoever started this program wanted ignored (`nohup`, say).
    pub(crate) fn catch(numbers: &[i32]) -> Result<Self, Failure> {
        Self::try_catch(numbers)
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
