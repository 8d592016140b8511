//! `leaselock doctor`: what would break the promises on this store.

mod data;
mod finding;
mod network;
mod report;
mod server;

use std::io::stdout;
use std::time::Duration;

use leaselock::diagnosis::Diagnosis;
use leaselock::{ErrorKind, options};

use self::finding::{Finding, Level};
use self::report::Report;
use crate::connection::Connection;
use crate::exit::{Exit, Failure};

/// Say what would break the promises on this store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Something would break a promise.
const PROBLEMS: Exit = Exit::new(1);

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let ttl = options::DEFAULT_TTL;
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
        report.text(&mut stdout())?;
    }
    let problems = report.count(Level::Problem);
    Ok(if problems == 0 { Exit::OK } else { PROBLEMS })
}

fn examined(diagnosis: &Diagnosis, ttl: Duration) -> Report {
    let (store, findings) = match diagnosis {
        Diagnosis::Server(facts) => (server::title(facts), server::examine(facts, ttl)),
        _ => (
            "A store that shows nothing of itself".to_owned(),
            Vec::new(),
        ),
    };
    Report::new(store, ttl, findings)
}

/// The report on a store that did not let us look.
fn unreachable(error: &leaselock::Error, ttl: Duration) -> Report {
    let finding = Finding::problem("connection", error.message())
        .means("No lock can be acquired, renewed or given back from here.");
    Report::new("The store cannot be used".to_owned(), ttl, vec![finding])
}
