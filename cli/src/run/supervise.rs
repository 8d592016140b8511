//! What goes on while the command runs: signals are passed on, and a lost lease ends it.

use std::future::pending;
use std::time::Duration;

use tokio::time::Instant;

use super::OnLost;
use super::held::Held;
use crate::duration;
use crate::exit::complain;
use crate::system::{ASKED_BY, Change, Running, Signals, stop_here};

/// What to do about a lost lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) on_lost: OnLost,
    /// From asking it to end to killing it.
    pub(crate) kill_after: Duration,
}

/// Watches over the command until it has ended; whether a signal came that is to end all of it.
pub(crate) async fn supervise(
    command: &mut Running,
    lease: &Held,
    signals: &mut Signals,
    policy: Policy,
) -> bool {
    let mut told_to_end = false;
    let mut lost = false;
    let mut kill_at = None;
    loop {
        tokio::select! {
            change = command.changed() => match change {
                Change::Ended => return told_to_end,
                // By the terminal: the shell waits for us to stop, too, and then takes the terminal back. Whatever else
                // stops a command (a debugger, SIGSTOP) does not stop us, and the lease is renewed.
                Change::StoppedByTerminal => stop_here(),
                Change::Stopped => {}
            },
            signal = signals.next() => {
                told_to_end |= signal.is_ending();
                if signal.is_for_us_alone() {
                    command.pass_on(signal);
                }
            }
            () = lease.lost(), if !lost => {
                lost = true;
                if let Some(error) = lease.lost_error() {
                    complain(format_args!("{error}; {}", policy.on_lost.consequence()));
                }
                if policy.on_lost == OnLost::Kill {
                    if command.ask_to_end() {
                        kill_at = Some(Instant::now() + policy.kill_after);
                    } else {
                        complain(format_args!("the command cannot be asked to end; killing it"));
                        command.kill();
                    }
                }
            }
            () = at(kill_at) => {
                let waited = duration::Shown(policy.kill_after);
                complain(format_args!("the command has not ended {waited} after {ASKED_BY}; killing it"));
                command.kill();
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
