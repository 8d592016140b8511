//! `leaselock inspect`: who holds a name.

use std::io::{Write, stdout};

use serde_json::json;

use crate::connection::Connection;
use crate::exit::{Exit, Failure};

/// Show who holds a lock, for how long, and how many wait
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let found = client.inspect(&args.name).await?;
    let left = found.as_ref().and_then(|lock| lock.expires_in);
    writeln!(
        stdout(),
        "{}",
        json!({
            "name": args.name,
            "held": found.is_some(),
            "owner": found.as_ref().map(|lock| &lock.owner),
            "expires_in": left.map(|left| left.as_secs_f64()),
            "waiters": found.as_ref().map(|lock| lock.waiters),
        })
    )?;
    Ok(if found.is_some() {
        Exit::OK
    } else {
        Exit::new(1)
    })
}
