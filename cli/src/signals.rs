//! The signals that reach this program, and whether the terminal sent them.

use std::io;
use std::thread::{self, JoinHandle};

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

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

/// Catches signals while it lives.
pub(crate) struct Signals {
    caught: UnboundedReceiver<Caught>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Catches these signals, except those that whoever started this program wanted ignored (`nohup`, say).
    pub(crate) fn catch(numbers: &[i32]) -> io::Result<Self> {
        let ignored = ignored();
        // An ignored SIGCHLD would swallow the exit status of a command.
        let kept = |number: &&i32| **number == SIGCHLD || ignored & (1 << (**number - 1)) == 0;
        let mut signals = SignalsInfo::<WithOrigin>::new(numbers.iter().filter(kept))?;
        let handle = signals.handle();
        let (sender, caught) = unbounded_channel();
        let thread = thread::Builder::new()
            .name("leaselock-signals".to_owned())
            .spawn(move || {
                for origin in signals.forever() {
                    // Nobody listens any more at the very end.
                    let _ = sender.send(Caught {
                        number: origin.signal,
                        from_terminal: origin.process.is_none(),
                    });
                }
            })?;
        let thread = Some(thread);
        Ok(Self {
            caught,
            handle,
            thread,
        })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Caught {
        match self.caught.recv().await {
            Some(caught) => caught,
            None => std::future::pending().await,
        }
    }

    /// The next signal that asks this program to end. Others are dropped.
    pub(crate) async fn ending(&mut self) -> i32 {
        loop {
            let caught = self.next().await;
            if caught.is_ending() {
                return caught.number;
            }
        }
    }

    /// A signal that has already come.
    pub(crate) fn pending(&mut self) -> Option<Caught> {
        self.caught.try_recv().ok()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only passes messages on, so it has not panicked.
            let _ = thread.join();
        }
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
