//! `leaselock release`: giving a lock back for its owner, or breaking it.

use std::io::{Write, stdout};

use leaselock::ReleaseStatus;
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::{Exit, Failure, complain};
use crate::record::json;
use crate::text::escape;

/// Give a lock back for its owner, or break it
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    #[command(flatten)]
    holder: Holder,

    /// Print one JSON object: name, status (RELEASED, NOT_FOUND or NOT_OWNER)
    #[arg(long)]
    json: bool,

    /// Say nothing of what was found: the exit status does. Errors are told
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Holder {
    /// Give it back for this owner, as `leaselock acquire` printed it, `leaselock inspect` shows it or
    /// LEASELOCK_OWNER says
    #[arg(long)]
    owner: Option<String>,

    /// Break it, whoever holds it. The holder learns of it at its next renewal; until then two may act
    #[arg(long)]
    force: bool,
}

const HELP: &str = "\
Examples:
  A command detached itself and gives the lock back when it is done:
      leaselock release import --owner \"$LEASELOCK_OWNER\"

  The holder's host has burnt down, and its lease has hours to go:
      leaselock release import --force

Exit status:
  0   RELEASED: done
  1   NOT_FOUND: nobody holds it
  2   NOT_OWNER: someone else holds it
  64  the command line is wrong
  69  the store cannot be reached, or does not answer
  77  the store refused: password, permissions";

/// What `--json` prints.
#[derive(Serialize)]
struct Released<'a> {
    name: &'a str,
    status: &'static str,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let status = match &args.holder.owner {
        Some(owner) => client.release(&args.name, owner).await?,
        None => client.force_release(&args.name).await?,
    };
    if args.json {
        let released = Released {
            name: &args.name,
            status: status.as_str(),
        };
        writeln!(stdout(), "{}", json(&released)?)?;
    } else if !args.quiet {
        let name = escape(&args.name);
        match status {
            ReleaseStatus::Released => writeln!(stdout(), "{name} was released")?,
            ReleaseStatus::NotFound => {
                complain(format_args!("{name} is free: there was nothing to release"));
            }
            ReleaseStatus::NotOwner => complain(format_args!(
                "{name} is held by someone else, and was not released; see who by: leaselock inspect {name}"
            )),
        }
    }
    Ok(match status {
        ReleaseStatus::Released => Exit::OK,
        ReleaseStatus::NotFound => Exit::FREE,
        ReleaseStatus::NotOwner => Exit::NOT_OWNER,
    })
}
