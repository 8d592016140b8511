//! `leaselock extend`: more time for a lock that nobody renews.

use std::io::{Write, stdout};
use std::time::Duration;

use leaselock::ExtendStatus;
use serde::Serialize;

use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure, complain};
use crate::record::json;
use crate::text::escape;

/// Set what is left of a lease
///
/// From now on it lasts exactly --ttl, be that more or less than was left. It is for a lock that `leaselock acquire` has
/// taken: a holder that renews its lease sets its own TTL again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    /// Its owner, as `leaselock acquire` printed it
    owner: String,

    /// How long the lock stays taken, from now on
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    ttl: Duration,

    /// Print one JSON object: name, status (EXTENDED, NOT_FOUND or NOT_OWNER)
    #[arg(long)]
    json: bool,

    /// Say nothing of what was found: the exit status does. Errors are told
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

const HELP: &str = "\
Examples:
  The next step of a script takes long:
      leaselock extend deploy:prod \"$owner\" --ttl 15m

Exit status:
  0   EXTENDED: done
  1   NOT_FOUND: nobody holds it
  2   NOT_OWNER: someone else holds it
  64  the command line is wrong
  69  the store cannot be reached, or does not answer
  77  the store refused: password, permissions";

/// What `--json` prints.
#[derive(Serialize)]
struct Extended<'a> {
    name: &'a str,
    status: &'static str,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let status = client.extend(&args.name, &args.owner, args.ttl).await?;
    if args.json {
        let extended = Extended {
            name: &args.name,
            status: status.as_str(),
        };
        writeln!(stdout(), "{}", json(&extended)?)?;
    } else if !args.quiet {
        let name = escape(&args.name);
        match status {
            ExtendStatus::Extended => {
                let ttl = duration::Shown(args.ttl);
                writeln!(stdout(), "{name} stays taken for {ttl}")?;
            }
            ExtendStatus::NotFound => {
                complain(format_args!("{name} is free: there was nothing to extend"));
            }
            ExtendStatus::NotOwner => complain(format_args!(
                "{name} is held by someone else, and was left alone; see who by: leaselock inspect {name}"
            )),
        }
    }
    Ok(match status {
        ExtendStatus::Extended => Exit::OK,
        ExtendStatus::NotFound => Exit::FREE,
        ExtendStatus::NotOwner => Exit::NOT_OWNER,
    })
}
