//! `leaselock doctor`: what would break the promises on this store.

mod announced;
mod cluster;
mod data;
mod file;
mod finding;
mod network;
mod report;
mod sentinel;
mod server;
mod size;

use std::io::stdout;
use std::time::Duration;

use leaselock::diagnosis::Diagnosis;
use leaselock::{AcquireOptions, ErrorKind, Request, Unit};

use self::finding::{Finding, Level};
use self::report::Report;
use self::server::Part;
use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure};

/// Say what would break the promises on this store
///
/// Looks at whatever it is allowed to, changes nothing, and says for each thing what was seen, what it means for locks
/// and what to do. Of a cluster it looks at every primary, and with sentinels at each of these and at the master. What it may not look at it leaves out, and says so: an administrator of the server sees more.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The lease that round trips and slow commands are judged by
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    ttl: Duration,

    /// Print one JSON object
    ///
    /// `problems`, `warnings` and `unknown` are counts; each of `checks` has a `check` (its name), a `level` (problem,
    /// warning, unknown, ok), the servers it was seen `at` (of a cluster, or with sentinels), what was `seen`, what it `means`, what to do (`todo`) and `commands` for the server that do it
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  Before locks are trusted to a server:
      LEASELOCK_URL=redis://admin:SECRET@db1:6379 leaselock doctor

  For the shortest lease that is in use:
      leaselock doctor --ttl 2s

  The names of what is wrong, for a monitor:
      leaselock doctor --json |
        jq -r '.checks[] | select(.level == \"problem\").check'

Exit status:
  0   no problem was found; there may be warnings, and what could not be seen
  1   a problem was found, or the store cannot be used at all
  64  the command line is wrong";

/// Something would break a promise.
const PROBLEMS: Exit = Exit::new(1);

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let ttl = args.ttl;
    let lease = AcquireOptions {
        ttl,
        ..AcquireOptions::default()
    };
    Request::new("doctor", lease, Unit::Seconds)?;
    let report = match client.diagnose().await {
        Ok(diagnosis) => examined(&diagnosis, ttl),
        Err(error) => match error.kind() {
            ErrorKind::StoreUnavailable | ErrorKind::StoreRefused => unreachable(&error, ttl),
            _ => return Err(error.into()),
        },
    };
    if args.json {
        report.json(&mut stdout())?;
    } else {
        report.text(&mut anstream::stdout())?;
    }
    let problems = report.count(Level::Problem);
    Ok(if problems == 0 { Exit::OK } else { PROBLEMS })
}

fn examined(diagnosis: &Diagnosis, ttl: Duration) -> Report {
    let (store, findings) = match diagnosis {
        Diagnosis::Server(facts) => (
            server::title(facts),
            server::examine(facts, ttl, Part::Alone),
        ),
        Diagnosis::Sentinel(facts) => (sentinel::title(facts), sentinel::examine(facts, ttl)),
        Diagnosis::Cluster(facts) => (cluster::title(facts), cluster::examine(facts, ttl)),
        Diagnosis::File(facts) => (
            format!("The store in {}", facts.path.display()),
            file::examine(facts),
        ),
        Diagnosis::Memory => (
            "A store in the memory of this process".to_owned(),
            file::examine_memory(),
        ),
        _ => ("A store of a new kind".to_owned(), Vec::new()),
    };
    Report::new(store, ttl, findings)
}

/// The report on a store that did not let us look.
fn unreachable(error: &leaselock::Error, ttl: Duration) -> Report {
    let finding = Finding::problem("connection", error.message())
        .means("No lock can be acquired, renewed or given back from here.");
    Report::new("The store cannot be used".to_owned(), ttl, vec![finding])
}
