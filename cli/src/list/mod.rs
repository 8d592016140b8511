//! `leaselock ls`: the locks that are held.

mod table;
mod watch;

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use leaselock::{Client, LockInfo};

use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure};
use crate::record::{Record, json};
use crate::text::escape;

/// List the locks that are held
///
/// On a terminal this is a table that fits its width; long names and owners lose their middle. Behind the owner of a lock that
/// is shared it has how many more hold it, as (+2), or (shared) where it is one alone. Otherwise it is one line
/// for each lock, without a heading: name, owner (the first, where several share it), seconds left (- where there is no
/// end), waiters and how many hold it, with tabs between them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only names that match: * stands for any text, ? for one byte
    #[arg(default_value = "*", hide_default_value = true)]
    pattern: String,

    /// Print one JSON object a line: name, owner, expires_in (seconds; null without an end), waiters, mode
    /// (exclusive or shared), holders (the first ten, each with owner and expires_in), holder_count
    #[arg(long)]
    json: bool,

    /// Draw it again and again, every second or as often as it is said here, until Ctrl-C
    #[arg(
        short,
        long,
        conflicts_with = "json",
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1s",
        value_parser = duration::parse
    )]
    watch: Option<Duration>,
}

const HELP: &str = "\
Examples:
  Everything, or what begins with orders:
      leaselock ls
      leaselock ls 'orders:*'

  A view that stays up to date:
      leaselock ls --watch
      leaselock ls --watch=5s 'orders:*'

  For programs: who has others waiting?
      leaselock ls --json | jq -r 'select(.waiters > 0) | .owner'

Environment:
  NO_COLOR  no colours, if it is set

Exit status:
  0   the list is complete
  64  the command line is wrong
  69  the store cannot be reached, or does not answer
  77  the store refused: password, permissions";

/// More often than this nobody can read.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    if let Some(every) = args.watch {
        if !stdout().is_terminal() {
            return Err(Failure::new(
                Exit::USAGE,
                "--watch draws on a terminal, and the output is none; leave it out",
            ));
        }
        return watch::run(&client, &args.pattern, every.max(SHORTEST_WATCH)).await;
    }
    let locks = collect(&client, &args.pattern).await?;
    let mut out = stdout().lock();
    if args.json {
        for lock in &locks {
            writeln!(out, "{}", json(&Record::new(lock))?)?;
        }
    } else if out.is_terminal() {
        // The usual reason for an empty list where a lock was expected.
        let none = match client.app_id() {
            "" => "no locks are held (no app id)".to_owned(),
            app_id => format!("no locks are held (app id: {})", escape(app_id)),
        };
        for line in table::Table::of_terminal().lines(&locks, &none) {
            writeln!(out, "{line}")?;
        }
    } else {
        for lock in &locks {
            let left = lock.expires_in.map(duration::seconds);
            let left = left.map_or_else(|| "-".to_owned(), |left| format!("{left:.3}"));
            let (name, owner) = (escape(&lock.name), escape(&lock.owner));
            let (waiters, holders) = (lock.waiters, lock.holder_count);
            writeln!(out, "{name}\t{owner}\t{left}\t{waiters}\t{holders}")?;
        }
    }
    Ok(Exit::OK)
}

/// All that match, by name.
async fn collect(client: &Client, pattern: &str) -> Result<Vec<LockInfo>, Failure> {
    let mut listing = client.locks(pattern)?;
    let mut locks = Vec::new();
    while let Some(lock) = listing.next().await {
        locks.push(lock?);
    }
    locks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(locks)
}
