//! `leaselock inspect`: who holds a name.

use std::io::{Write, stdout};

use leaselock::Mode;
use serde::Serialize;

use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure};
use crate::record::{Holder, holders, json};
use crate::text::escape;

/// Show who holds a lock, for how long, and how many wait
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    /// Print one JSON object: name, held, owner, expires_in (seconds; null without an end), waiters, mode
    /// (exclusive or shared), holders (each with owner and expires_in), holder_count
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  Who has it?
      leaselock inspect backup

  In a script:
      if leaselock inspect backup >/dev/null; then echo busy; fi

Exit status:
  0   the lock is held
  1   the lock is free
  64  the command line is wrong
  69  the store cannot be reached, or does not answer
  77  the store refused: password, permissions";

/// What `--json` prints; of a free lock there is nothing but its name.
#[derive(Serialize)]
struct Inspected<'a> {
    name: &'a str,
    held: bool,
    owner: Option<&'a str>,
    expires_in: Option<f64>,
    waiters: Option<u64>,
    mode: Option<&'static str>,
    holders: Option<Vec<Holder<'a>>>,
    holder_count: Option<u64>,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let found = client.inspect(&args.name).await?;
    let held = found.as_ref();
    let left = held.and_then(|lock| lock.expires_in);
    let mut out = stdout();
    if args.json {
        let inspected = Inspected {
            name: &args.name,
            held: held.is_some(),
            owner: held.map(|lock| lock.owner.as_str()),
            expires_in: left.map(duration::seconds),
            waiters: held.map(|lock| lock.waiters),
            mode: held.map(|lock| lock.mode.as_str()),
            holders: held.map(holders),
            holder_count: held.map(|lock| lock.holder_count),
        };
        writeln!(out, "{}", json(&inspected)?)?;
    } else if let Some(lock) = held {
        writeln!(out, "{} is held", escape(&lock.name))?;
        if lock.mode == Mode::Shared {
            writeln!(out, "holders  {}", lock.holder_count)?;
            for holder in &lock.holders {
                let left = duration::left(holder.expires_in);
                writeln!(out, "owner    {}, {left} left", escape(&holder.owner))?;
            }
        } else {
            writeln!(out, "owner    {}", escape(&lock.owner))?;
        }
        match lock.expires_in {
            Some(_) => writeln!(out, "left     {}", duration::left(left))?,
            None => writeln!(
                out,
                "left     no end: only its owner, or --force, can give it back"
            )?,
        }
        writeln!(out, "waiters  {}", lock.waiters)?;
    } else {
        writeln!(out, "{} is free", escape(&args.name))?;
    }
    Ok(if found.is_some() {
        Exit::OK
    } else {
        Exit::FREE
    })
}
