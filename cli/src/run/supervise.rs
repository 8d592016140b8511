//! What goes on while the command runs: signals are passed on, and a lost lease ends it.

use std::future::pending;
use std::time::Duration;

use leaselock::Lease;
use rustix::process::Signal;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU};
use tokio::time::Instant;

use super::OnLost;
use super::child::{Change, Running};
use crate::duration;
use crate::exit::complain;
use crate::signals::{Signals, stop_here};

/// What to do about a lost lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) on_lost: OnLost,
    /// From SIGTERM to SIGKILL.
    pub(crate) kill_after: Duration,
}

/// Watches over the command until it has ended.
pub(crate) async fn supervise(
    command: &mut Running,
    lease: &Lease,
    signals: &mut Signals,
    policy: Policy,
) {
    let mut lost = false;
    let mut kill_at = None;
    loop {
        tokio::select! {
            change = command.changed() => match change {
                Change::Ended => return,
                // By the terminal: the shell waits for us to stop, too, and then takes the terminal back. Whatever else
                // stops a command (a debugger, SIGSTOP) does not stop us, and the lease is renewed.
                Change::Stopped(SIGTSTP | SIGTTIN | SIGTTOU) => stop_here(),
                Change::Stopped(_) => {}
            },
            signal = signals.next() => {
                if signal.number == SIGCHLD {
                    command.reap_others();
                }
                // What the terminal sends has reached the command, too: it is in the same process group. Except that a
                // hang-up may be told to the leader of a session alone.
                if !signal.from_terminal || signal.number == SIGHUP {
                    command.pass_on(signal);
                }
            }
            _ = lease.lost(), if !lost => {
                lost = true;
                if let Some(error) = lease.lost_error() {
                    complain(format_args!("{error}; {}", policy.on_lost.consequence()));
                }
                if policy.on_lost == OnLost::Kill {
                    command.send(Signal::TERM);
                    // A stopped process would never see it.
                    command.send(Signal::CONT);
                    kill_at = Some(Instant::now() + policy.kill_after);
                }
            }
            () = at(kill_at) => {
                let waited = duration::Shown(policy.kill_after);
                complain(format_args!("the command has not ended {waited} after SIGTERM; killing it"));
                command.send(Signal::KILL);
                kill_at = None;
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
