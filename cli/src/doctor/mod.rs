//! `leaselock doctor`: what would break the promises on this store.

use std::io::{Write, stdout};

use crate::connection::Connection;
use crate::exit::{Exit, Failure};

/// Say what would break the promises on this store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let _ = client.inspect("doctor").await?;
    if args.json {
        writeln!(stdout(), "{{\"reachable\": true}}")?;
    } else {
        writeln!(stdout(), "The store answers.")?;
    }
    Ok(Exit::OK)
}
