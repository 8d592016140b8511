//! What can be said on the command line.

use clap::{Parser, Subcommand};

use crate::connection::Connection;
use crate::{acquire, doctor, extend, generate, inspect, list, release, run};

/// Distributed locks held under a lease: one name, one holder at a time
///
/// A lock is a name that one holder has at a time, on every host that uses the same store. A holder that dies loses it
/// when its lease runs out. Who waits is served in the order of arrival.
#[derive(Debug, Parser)]
#[command(
    name = "leaselock",
    version,
    max_term_width = 100,
    after_help = "More: leaselock COMMAND --help",
    after_long_help = HELP
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Acquire(acquire::Args),
    Extend(extend::Args),
    Ls(list::Args),
    Inspect(inspect::Args),
    Release(release::Args),
    Doctor(doctor::Args),
    Completions(generate::Completions),
    Man(generate::Manual),
}

const HELP: &str = "\
Examples:
  Once, so that every command knows where the locks are:
      export LEASELOCK_URL=redis://localhost:6379

  Never two backups at once, on however many hosts:
      leaselock run backup -- pg_dump --file=all.sql shop

  Who holds what?
      leaselock ls

Environment:
  LEASELOCK_URL     the store, where --url does not say it
  LEASELOCK_APP_ID  the application, where --app-id does not say it
  NO_COLOR          no colours, if it is set

Exit status:
  Each command's help tells its own. Where an error ends it, there is one line on stderr, and:
  64  the command line is wrong, or asks for what can never work
  69  the store cannot be reached, or does not answer
  70  an internal error
  71  the system refused a thread or a process
  74  the output could not be written
  77  the store refused: password, permissions, memory";
