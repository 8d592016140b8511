//! The command that runs under the lock: how it is started, watched and told to end.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread;

use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::signals::Caught;
use crate::exit::{Exit, Failure};
use crate::system::{Change, cannot_run};

/// By what the command is asked to end.
pub(crate) const ASKED_BY: &str = "SIGTERM";

/// The command, from its start on.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    /// It leads a process group of its own.
    leads: bool,
    changes: UnboundedReceiver<Change>,
}

impl Running {
    /// Starts the command, with these variables added to its environment.
    ///
    /// Where there is a terminal it shares our process group, so that it can read from the terminal and Ctrl-C reaches
    /// it. Where there is none (cron, systemd, CI) it gets a group of its own, so that what it starts can be ended with
    /// it.
    pub(crate) fn start(
        words: &[OsString],
        variables: Vec<(&str, String)>,
    ) -> Result<Self, Failure> {
        let (program, arguments) = words.split_first().expect("clap asks for a command");
        let leads = File::open("/dev/tty").is_err();
        let mut command = Command::new(program);
        command.args(arguments).envs(variables);
        if leads {
            command.process_group(0);
        }
        let child = command
            .spawn()
            .map_err(|error| cannot_run(program, &error))?;
        let pid = Pid::from_child(&child);
        let (sender, changes) = unbounded_channel();
        let mut running = Self {
            child,
            pid,
            leads,
            changes,
        };
        let watching = thread::Builder::new()
            .name("leaselock-child".to_owned())
            .spawn(move || watch(pid, &sender));
        if let Err(error) = watching {
            running.send(Signal::KILL);
            let _ = running.child.wait();
            let message = format!("cannot watch the command, which was killed: {error}");
            return Err(Failure::new(Exit::OS_ERROR, message));
        }
        Ok(running)
    }

    /// The next change.
    pub(crate) async fn changed(&mut self) -> Change {
        self.changes.recv().await.unwrap_or(Change::Ended)
    }

    /// Asks it to end; whether it was told.
    pub(crate) fn ask_to_end(&self) -> bool {
        self.send(Signal::TERM);
        // A stopped process would never see it.
        self.send(Signal::CONT);
        true
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        self.send(Signal::KILL);
    }

    /// Sends it a signal, and to its whole group where it has one of its own.
    fn send(&self, signal: Signal) {
        // It stays a zombie until `status`, so that its number cannot have become another's; that it may have ended, or
        // become another user's, is no reason to fail.
        let _ = if self.leads {
            kill_process_group(self.pid, signal)
        } else {
            kill_process(self.pid, signal)
        };
    }

    /// Sends it a signal that was sent to us.
    pub(crate) fn pass_on(&self, caught: Caught) {
        if caught.number == SIGCHLD {
            self.reap_others();
            return;
        }
        if let Some(signal) = Signal::from_named_raw(caught.number) {
            self.send(signal);
            if caught.is_ending() {
                // A stopped process would never see it.
                self.send(Signal::CONT);
            }
        }
    }

    /// As the first process of a container we are the parent of whatever the command leaves behind: somebody has to take
    /// notice of its end, or it stays a zombie. The command itself is left for [`status`](Self::status).
    #[cfg(target_os = "linux")]
    fn reap_others(&self) {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

        if std::process::id() != 1 {
            return;
        }
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        while let Ok(status) = waitid(Id::All, ended | WaitPidFlag::WNOWAIT)
            && status != WaitStatus::StillAlive
            && let Some(pid) = status.pid()
            && pid.as_raw() != self.pid.as_raw_nonzero().get()
        {
            if waitid(Id::Pid(pid), ended).is_err() {
                return;
            }
        }
    }

    /// Elsewhere the first process is the system's.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "as on Linux")]
    fn reap_others(&self) {}

    /// Its exit status, after it has ended.
    pub(crate) fn status(mut self) -> Result<Exit, Failure> {
        let status = self.child.wait().map_err(|error| {
            let message = format!("the command's exit status cannot be had: {error}");
            Failure::new(Exit::OS_ERROR, message)
        })?;
        Ok(as_exit(status))
    }
}

fn as_exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::new(code),
        (None, Some(signal)) => Exit::signal(signal),
        (None, None) => Exit::SOFTWARE,
    }
}

/// Reports what happens to the command until it has ended, and leaves it a zombie.
fn watch(pid: Pid, changes: &UnboundedSender<Change>) {
    let either = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    let stop = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    loop {
        let change = match retry_on_intr(|| waitid(WaitId::Pid(pid), either)) {
            Ok(Some(status)) if status.stopped() => {
                // Takes the report away, so that it does not come again.
                let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), stop));
                match status.stopping_signal() {
                    Some(SIGTSTP | SIGTTIN | SIGTTOU) => Change::StoppedByTerminal,
                    _ => Change::Stopped,
                }
            }
            _ => Change::Ended,
        };
        let ended = matches!(change, Change::Ended);
        if changes.send(change).is_err() || ended {
            return;
        }
    }
}
