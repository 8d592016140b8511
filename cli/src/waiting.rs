//! Waiting for a lock, as `run` and `acquire` do.

use std::future::Future;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use gethostname::gethostname;
use leaselock::{Client, Lease, Request};

use crate::duration;
use crate::exit::{Exit, Failure, complain};
use crate::system::{Caught, Signals, stop_here};

/// How long a person waits without a word.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a wait is no news to whoever reads the output later.
const UNATTENDED_PATIENCE: Duration = Duration::from_secs(5);

/// How to wait for a lock, and what to say of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Waiting {
    /// How long to wait for the lock at most; 0 tries once. Without it, for ever
    #[arg(short, long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// Try once: the same as --wait 0
    #[arg(short, long, conflicts_with = "wait")]
    no_wait: bool,

    /// Say nothing of who has the lock: the exit status does. Errors are told
    #[arg(short, long)]
    quiet: bool,

    /// The exit status where someone else has the lock, and the wait ran out
    #[arg(short = 'E', long, value_name = "STATUS", default_value = "75")]
    conflict_exit_code: u8,

    /// For people: leads the owner that `leaselock ls` shows. Without it, this host
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// How a wait ended.
pub(crate) enum Acquired<T> {
    Held(T),
    Interrupted(i32),
}

impl Waiting {
    /// How long to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        if self.no_wait {
            Some(Duration::ZERO)
        } else {
            self.wait
        }
    }

    /// The label that was said, or else this.
    pub(crate) fn label(&self, default: impl FnOnce() -> String) -> String {
        self.label.clone().unwrap_or_else(default)
    }

    /// Waits for what `acquiring` takes, or for a signal that ends the wait. `what` it is, for people; `name` is the lock to look
    /// at where it takes long, if it is one.
    pub(crate) async fn acquire<T>(
        &self,
        client: &Client,
        what: &str,
        name: Option<&str>,
        acquiring: impl Future<Output = Result<T, Failure>>,
        signals: &mut Signals,
    ) -> Result<Acquired<T>, Failure> {
        let wait = self.wait();
        let attended = stderr().is_terminal();
        let patience = if attended {
            PATIENCE
        } else {
            UNATTENDED_PATIENCE
        };
        let once = wait == Some(Duration::ZERO);
        let mut silent = !self.quiet && !once && wait.is_none_or(|wait| wait > patience);
        let number = {
            tokio::pin!(acquiring);
            let notice = async {
                tokio::time::sleep(patience).await;
                match name {
                    None => "who has them: leaselock ls".to_owned(),
                    Some(name) if attended => format!("who has it: leaselock inspect {name}"),
                    Some(name) => who_holds(client, name).await,
                }
            };
            tokio::pin!(notice);
            loop {
                tokio::select! {
                    biased;
                    signal = signals.next() => {
                        if signal.is_ending() {
                            break signal.number;
                        }
                        stop_if_asked(signal);
                    }
                    acquired = &mut acquiring => return acquired.map(Acquired::Held).map_err(|failure| self.told(failure)),
                    notice = &mut notice, if silent => {
                        silent = false;
                        complain(format_args!("waiting for the {what}; {notice}"));
                    }
                }
            }
        };
        // Leaves the queue, and gives back what may have been granted meanwhile. Where that fails, the TTL does it.
        let _ = client.close().await;
        Ok(Acquired::Interrupted(number))
    }

    /// Why there is no lock, in the way that was asked for.
    fn told(&self, failure: Failure) -> Failure {
        if failure.exit() != Exit::TIMEOUT {
            return failure;
        }
        let message = if self.quiet { "" } else { failure.message() };
        Failure::new(Exit::new(self.conflict_exit_code.into()), message)
    }
}

/// Takes a lock. With `forever` it waits as long as it takes, also while the store cannot be reached.
pub(crate) async fn take_one(
    client: &Client,
    request: Request,
    forever: bool,
) -> Result<Lease, Failure> {
    if forever {
        return Ok(client.acquire_to_lead(request).await?);
    }
    if request.options().wait != Some(Duration::ZERO) {
        return Ok(client.acquire_request(request).await?);
    }
    let name = request.name().to_owned();
    client.try_acquire_request(request).await?.ok_or_else(|| {
        let text = format!("the lock {name:?} is held by someone else");
        Failure::new(Exit::TIMEOUT, text)
    })
}

async fn who_holds(client: &Client, name: &str) -> String {
    match client.inspect(name).await {
        Ok(Some(found)) => format!("{:?} holds it", found.owner),
        Ok(None) => "nobody holds it just now".to_owned(),
        Err(error) => format!("who holds it is not known: {error}"),
    }
}

/// Stops this process, where that is what the signal is for.
pub(crate) fn stop_if_asked(signal: Caught) {
    if signal.is_stop() {
        stop_here();
    }
}

/// This host, so that `leaselock ls` says where to look.
pub(crate) fn host() -> String {
    /// Leaves room for a number in the 128 bytes of a label.
    const HOST_CHARS: usize = 32;
    let host = gethostname();
    let host = host.to_string_lossy();
    host.chars()
        .filter(|c| !c.is_control())
        .take(HOST_CHARS)
        .collect()
}
