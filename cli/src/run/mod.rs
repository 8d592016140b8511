//! `leaselock run`: a command that runs while a lock is held.

mod held;
mod supervise;

use std::ffi::OsString;
use std::time::Duration;

use clap::ValueEnum;
use leaselock::{AcquireOptions, Client, GroupRequest, Request, Unit};

use self::held::{Held, listed};
use self::supervise::{Policy, supervise};
use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure, complain};
use crate::system::{Running, Signals};
use crate::waiting::{Acquired, Waiting, host, stop_if_asked, take_one};

/// Run a command while holding a lock
///
/// Waits for the lock, runs the command, gives the lock back and exits with the command's status. The lease is renewed
/// as long as the command runs. The command finds LEASELOCK_TOKEN (the fencing token), LEASELOCK_NAME,
/// LEASELOCK_OWNER and LEASELOCK_APP_ID in its environment. A wait that takes long is told on stderr. Its owner is HOST/PID
/// in `leaselock ls`, unless --label says otherwise.
///
/// With --also it holds several locks, all or none. They are taken in an order that everybody keeps, so that two that want the
/// same ones never wait for each other; the first that is lost counts as the loss of all. LEASELOCK_TOKENS then has a line
/// for each: its token, a space and its name.
///
/// When the lease is lost, because the store cannot be reached until it runs out, or someone breaks the lock, the
/// command gets SIGTERM, and SIGKILL when it has not ended some time later.
///
/// SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT are passed on to the command. On a terminal
/// it shares leaselock's process group, so Ctrl-C and Ctrl-Z reach it by themselves; a signal that another program sends
/// to the whole group reaches it twice. Without a terminal (cron, systemd, CI) it leads a process group of its own,
/// which gets all signals: what the command has started ends with it. As the first process of a container (PID 1) it
/// reaps whatever the command leaves behind.
///
/// With --forever it leads: it waits as long as it takes, also while the store cannot be reached, and when the lease is lost
/// it ends the command, waits for the lock again and runs the command again. It exits when the command ends by itself, or
/// when a signal ends it.
///
/// On Windows Ctrl-C and Ctrl-Break reach the command as Ctrl-Break, and so does the end of the lease; whatever the command
/// has started ends with leaselock.
///
/// While the job is stopped (Ctrl-Z), or if leaselock itself is killed by SIGKILL, nobody renews: the lease runs out
/// after its TTL, whatever the command does. A resource that must not be written to by two holders has to check the
/// token.
#[derive(Debug, clap::Args)]
#[command(after_help = "More, with examples and exit statuses: leaselock run --help", after_long_help = HELP)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// One more lock to hold, all or none; may be said several times, for 64 locks in all
    #[arg(long, value_name = "NAME", conflicts_with = "forever")]
    also: Vec<String>,

    /// The lease: how long the lock stays taken when nothing more is heard of leaselock
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    ttl: Duration,

    #[command(flatten)]
    waiting: Waiting,

    /// Lead: wait as long as it takes, and again whenever the lease is lost, in place of exiting
    #[arg(long, conflicts_with_all = ["wait", "no_wait"])]
    forever: bool,

    /// How long the lock may be held in all; then the lease counts as lost. Without it, as long as the command runs
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    max_hold: Option<Duration>,

    /// How long the lock stays taken at the least, though the command is done sooner: for jobs that clocks start a moment apart.
    /// One that fails gives it back at once
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "forever")]
    min_hold: Option<Duration>,

    /// Share the lock with whoever asks for it so, too: any number of readers, or one writer, who asks without this
    #[arg(long)]
    shared: bool,

    /// Let at most N hold the lock at the same time, this one included
    #[arg(long, value_name = "N", conflicts_with = "shared")]
    permits: Option<u32>,

    /// What happens to the command when the lease is lost
    #[arg(long, value_name = "ACTION", default_value = "kill")]
    on_lost: OnLost,

    /// How long the command has between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    kill_after: Duration,
}

const HELP: &str = "\
Examples:
  Never two backups at once, on however many hosts:
      leaselock run backup -- pg_dump --file=all.sql shop

  From cron: left out while the last one is still running, here or on another host.
      leaselock run --no-wait report -- make-report --all

  The same, without a word and without a failure:
      leaselock run --no-wait --quiet --conflict-exit-code 0 report -- make-report --all

  On every host, whose clocks differ a little: it is done on one of them.
      leaselock run --no-wait --min-hold 60s report -- make-report

  A deployment: waits ten minutes at most, and is ended after an hour.
      leaselock run deploy --wait 10m --max-hold 1h -- ./deploy.sh

  One of several runs the scheduler; when it dies, the next one does:
      leaselock run --forever scheduler --ttl 10s -- ./scheduler

  At most three exports at once; and readers side by side, with never a writer among them:
      leaselock run --permits 3 export -- ./export.sh
      leaselock run --shared catalogue -- ./read.sh

  Two accounts at once:
      leaselock run account:7 --also account:4 -- ./move-money

  The fencing token goes to whatever the command writes to:
      leaselock run orders -- sh -c 'import --fence \"$LEASELOCK_TOKEN\"'

Exit status:
  The command's own, or 128+N where signal N ended it. Otherwise:
  64   the command line is wrong, or asks for what can never work
  69   the store cannot be reached, or does not answer
  70   an internal error
  71   the system refused a thread or a process
  75   someone else has the lock, and the wait ran out
       (another status with --conflict-exit-code)
  77   the store refused: password, permissions, memory
  79   the lease was lost, and the command ended for it
  126  the command cannot be run
  127  there is no such command
  128+N where signal N came while leaselock waited for the lock.";

/// What happens to the command when the lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// It is ended: SIGTERM, then SIGKILL
    Kill,
    /// A warning on stderr, and it goes on
    Warn,
}

impl OnLost {
    const fn consequence(self) -> &'static str {
        match self {
            Self::Kill => "ending the command",
            Self::Warn => "the command goes on without it",
        }
    }
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let asked = args.asked()?;
    let mut signals = Signals::of_command()?;

    loop {
        let acquired = args
            .waiting
            .acquire(
                &client,
                &asked.what(),
                args.notice(),
                args.take(&client, asked.clone()),
                &mut signals,
            )
            .await?;
        let lease = match acquired {
            Acquired::Held(lease) => lease,
            Acquired::Interrupted(signal) => return Ok(Exit::signal(signal)),
        };
        let ended = hold(args, client.app_id(), &lease, &mut signals).await;
        let given_back = give_back(&lease, args.on_lost).await;
        let failed = !ended.as_ref().is_ok_and(|ended| ended.exit == Exit::OK);
        if failed && args.min_hold.is_some() {
            lease.end_min_hold(&client).await;
        }
        drop(lease);
        let ended = ended?;
        let (exit, lost) = if ended.exit == Exit::OK {
            (given_back, given_back == Exit::LOST)
        } else {
            (ended.exit, ended.lost)
        };
        if !args.forever || !lost || ended.told_to_end {
            return Ok(exit);
        }
    }
}

impl Args {
    fn asked(&self) -> Result<Asked, Failure> {
        if self.forever && self.on_lost == OnLost::Warn {
            return Err(Failure::new(
                Exit::USAGE,
                "--forever ends the command when the lease is lost, and --on-lost warn lets it go on: leave out one of them",
            ));
        }
        let options = AcquireOptions {
            ttl: self.ttl,
            wait: self.waiting.wait(),
            max_hold: self.max_hold,
            min_hold: self.min_hold,
            shared: self.shared,
            permits: self.permits,
            label: Some(
                self.waiting
                    .label(|| format!("{}/{}", host(), std::process::id())),
            ),
            ..AcquireOptions::default()
        };
        if self.also.is_empty() {
            let request = Request::new(&self.name, options, Unit::Seconds)?;
            return Ok(Asked::One(request));
        }
        let mut names = self.also.clone();
        names.push(self.name.clone());
        let request = GroupRequest::new(names, &options, Unit::Seconds)?;
        Ok(Asked::Several(request))
    }

    /// Whom to look at where it takes long: one name.
    fn notice(&self) -> Option<&str> {
        self.also.is_empty().then_some(self.name.as_str())
    }

    /// Takes what was asked for.
    async fn take(&self, client: &Client, asked: Asked) -> Result<Held, Failure> {
        let what = asked.what();
        let once = self.waiting.wait() == Some(Duration::ZERO);
        match asked {
            Asked::One(request) => {
                let lease = take_one(client, request, self.forever).await?;
                Ok(Held::One(lease))
            }
            Asked::Several(request) => {
                let group = client.take_all_request(request, once).await?;
                let group = group.ok_or_else(|| {
                    let text =
                        format!("one of the {what} is held by someone else, and none was taken");
                    Failure::new(Exit::TIMEOUT, text)
                })?;
                Ok(Held::Several(group, self.name.clone()))
            }
        }
    }
}

/// What is to be held.
#[derive(Clone)]
enum Asked {
    One(Request),
    Several(GroupRequest),
}

impl Asked {
    /// `lock "a"`, or `locks "a", "b"`.
    fn what(&self) -> String {
        match self {
            Self::One(request) => format!("lock {:?}", request.name()),
            Self::Several(request) => format!("locks {}", listed(request.names())),
        }
    }
}

/// How a command ended.
struct Ended {
    exit: Exit,
    /// For the loss of the lease.
    lost: bool,
    /// A signal came that is to end all of it.
    told_to_end: bool,
}

/// Runs the command to its end.
async fn hold(
    args: &Args,
    app_id: &str,
    lease: &Held,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    // What came while there was no command to pass it on to.
    while let Some(signal) = signals.pending() {
        if signal.is_ending() {
            return Ok(Ended {
                exit: Exit::signal(signal.number),
                lost: false,
                told_to_end: true,
            });
        }
        stop_if_asked(signal);
    }
    if let Err(lost) = lease.check() {
        complain(&lost);
        return Ok(Ended {
            exit: Exit::LOST,
            lost: true,
            told_to_end: false,
        });
    }
    let mut variables = lease.variables();
    variables.push(("LEASELOCK_APP_ID", app_id.to_owned()));
    let mut command = Running::start(&args.command, variables)?;
    // The terminal's may have come before the command was there; an instant later it gets them by itself.
    let mut told_to_end = false;
    while let Some(signal) = signals.pending() {
        told_to_end |= signal.is_ending();
        command.pass_on(signal);
    }
    let policy = Policy {
        on_lost: args.on_lost,
        kill_after: args.kill_after,
    };
    told_to_end |= supervise(&mut command, lease, signals, policy).await;
    let ended = command.status()?;
    let lost = lease.loss_reason().is_some() && args.on_lost == OnLost::Kill;
    Ok(Ended {
        exit: if lost { Exit::LOST } else { ended },
        lost,
        told_to_end,
    })
}

/// Gives the lock back. What goes wrong is said, and is the exit status where the command's was 0.
async fn give_back(lease: &Held, on_lost: OnLost) -> Exit {
    let mut exit = Exit::OK;
    if lease.loss_reason().is_none() {
        match lease.release().await {
            Ok(true) => {}
            Ok(false) => {
                complain(format_args!(
                    "the lease on {} had gone before the command ended: someone broke the lock, or the store lost it",
                    lease.names()
                ));
                if on_lost == OnLost::Kill {
                    exit = Exit::LOST;
                }
            }
            Err(error) => complain(format_args!(
                "the lock {} could not be given back and is free when its ttl ends: {error}",
                lease.names()
            )),
        }
    }
    exit
}
