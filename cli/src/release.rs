//! `leaselock release`: giving a lock back for its owner, or breaking it.

use leaselock::ReleaseStatus;

use crate::connection::Connection;
use crate::exit::{Exit, Failure, complain};

/// Give a lock back for its owner, or break it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lock's name
    name: String,

    #[command(flatten)]
    holder: Holder,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Holder {
    /// Give it back for this owner, as `leaselock inspect` shows it or LEASELOCK_OWNER says
    #[arg(long)]
    owner: Option<String>,

    /// Break it, whoever holds it; the holder learns of it at its next renewal
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let status = match &args.holder.owner {
        Some(owner) => client.release(&args.name, owner).await?,
        None => client.force_release(&args.name).await?,
    };
    complain(status.as_str());
    Ok(match status {
        ReleaseStatus::Released => Exit::OK,
        ReleaseStatus::NotFound => Exit::new(1),
        ReleaseStatus::NotOwner => Exit::new(2),
    })
}
