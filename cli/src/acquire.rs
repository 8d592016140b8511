//! `leaselock acquire`: a lock that outlives the command, for the steps of a script.

use std::io::{Write, stdout};
use std::time::Duration;

use leaselock::{AcquireOptions, Client, Lease, Request, Unit};
use serde::Serialize;

use crate::connection::Connection;
use crate::duration;
use crate::exit::{Exit, Failure};
use crate::record::json;
use crate::system::Signals;
use crate::waiting::{Acquired, Waiting, host, stop_if_asked, take_one};

/// Take a lock and leave it taken, for the steps of a script
///
/// Waits for the lock and prints its owner, which `leaselock extend` and `leaselock release` want. Nobody renews the lease:
/// the lock is free when its TTL ends, whatever the script does. Where one command does it all, `leaselock run` is better.
#[derive(Debug, clap::Args)]
#[command(after_help = "More, with examples and exit statuses: leaselock acquire --help", after_long_help = HELP)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    /// The lease: how long the lock stays taken. Nobody renews it
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    ttl: Duration,

    #[command(flatten)]
    waiting: Waiting,

    /// Print one JSON object: name, owner, token (the fencing token)
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  In the first step, the last one, and whenever more time is needed:
      owner=$(leaselock acquire deploy:prod --ttl 15m --wait 30m)
      leaselock extend deploy:prod \"$owner\" --ttl 15m
      leaselock release deploy:prod --owner \"$owner\"

  Owner and fencing token, for programs:
      leaselock acquire deploy:prod --json

Exit status:
  0    the lock is taken
  64   the command line is wrong, or asks for what can never work
  69   the store cannot be reached, or does not answer
  70   an internal error
  74   the owner could not be written; the lock was given back
  75   someone else has the lock, and the wait ran out
       (another status with --conflict-exit-code)
  77   the store refused: password, permissions, memory
  128+N where signal N came while leaselock waited for the lock.";

/// What `--json` prints.
#[derive(Serialize)]
struct Taken<'a> {
    name: &'a str,
    owner: &'a str,
    token: u64,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let options = AcquireOptions {
        ttl: args.ttl,
        wait: args.waiting.wait(),
        renew: false,
        label: Some(args.waiting.label(host)),
        ..AcquireOptions::default()
    };
    let request = Request::new(&args.name, options, Unit::Seconds)?;
    let mut signals = Signals::of_command()?;
    let acquired = args
        .waiting
        .acquire(
            &client,
            &format!("lock {:?}", args.name),
            Some(&args.name),
            take_one(&client, request, false),
            &mut signals,
        )
        .await?;
    let lease = match acquired {
        Acquired::Held(lease) => lease,
        Acquired::Interrupted(signal) => return Ok(Exit::signal(signal)),
    };
    while let Some(signal) = signals.pending() {
        if signal.is_ending() {
            give_back(&client, lease).await;
            return Ok(Exit::signal(signal.number));
        }
        stop_if_asked(signal);
    }
    match print(args, &lease) {
        Ok(()) => {
            lease.detach();
            lease.detached().await;
            Ok(Exit::OK)
        }
        Err(failure) => {
            // Nobody knows the owner.
            give_back(&client, lease).await;
            Err(failure)
        }
    }
}

/// Gives the lock back. Where that fails, the TTL does it.
async fn give_back(client: &Client, lease: Lease) {
    drop(lease);
    let _ = client.close().await;
}

fn print(args: &Args, lease: &Lease) -> Result<(), Failure> {
    let line = if args.json {
        json(&Taken {
            name: &args.name,
            owner: lease.owner(),
            token: lease.token(),
        })?
    } else {
        lease.owner().to_owned()
    };
    let mut out = stdout();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| {
        let message = format!("cannot write the owner, and so the lock was given back: {error}");
        Failure::new(Exit::IO_ERROR, message)
    })
}
