//! What can be said on the command line.

use clap::{Parser, Subcommand};

use crate::connection::Connection;
use crate::{doctor, inspect, release};

/// Distributed locks held under a lease: one name, one holder at a time.
#[derive(Debug, Parser)]
#[command(
    name = "leaselock",
    version,
    propagate_version = false,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(inspect::Args),
    Release(release::Args),
    Doctor(doctor::Args),
}
