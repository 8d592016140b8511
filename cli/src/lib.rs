//! The command line of leaselock, as a library: the program `leaselock` and the commands of the Python and the Node
//! package run the very same code.
//!
//! [`run()`] takes the arguments, the program's name first, does what they say and returns the exit status. It blocks
//! its thread to the end, and the process is to end with that status soon after: its signal handlers stay installed.
//! Whoever embeds it calls it
//!
//! - once, from the main thread, with nothing else of the process left to do;
//! - with signals as the program found them: a runtime that handles SIGINT puts its default back first, and one that
//!   ignores signals for itself (as Python does SIGPIPE and SIGXFSZ) does too, since commands inherit what is ignored;
//! - without a lock that other threads need (Python's GIL, say);
//! - with what it has buffered for stdout and stderr flushed.
//!
//! Where the command of `leaselock run` was ended by Ctrl-C, it does not return: it ends the process by SIGINT, too, as
//! shells expect it.

// On Windows one call of the system has no safe form (`system/windows/child.rs`).
#![cfg_attr(not(windows), forbid(unsafe_code))]
// The doc comments of arguments are help texts, which show backticks as they are.
#![allow(clippy::doc_markdown)]

mod acquire;
mod args;
mod connection;
mod doctor;
mod duration;
mod exit;
mod extend;
mod generate;
mod inspect;
mod list;
mod record;
mod release;
mod run;
mod system;
mod text;
mod usage;
mod waiting;
mod warnings;

use std::ffi::OsString;

use args::{Arguments, Command};
use clap::Parser;
use exit::{Exit, Failure};

/// Does what the arguments say, of which the first is the program's name, and returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let exit = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => perform(&arguments).unwrap_or_else(|failure| failure.report()),
        Err(error) => usage::report(&error),
    };
    exit.end()
}

fn perform(arguments: &Arguments) -> Result<Exit, Failure> {
    let connection = &arguments.connection;
    let _warnings = warnings::show();
    // One thread: a lease is renewed between whatever else there is to do, and all of that is short.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::OS_ERROR, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        match &arguments.command {
            Command::Run(args) => run::run(args, connection).await,
            Command::Acquire(args) => acquire::run(args, connection).await,
            Command::Extend(args) => extend::run(args, connection).await,
            Command::Ls(args) => list::run(args, connection).await,
            Command::Inspect(args) => inspect::run(args, connection).await,
            Command::Release(args) => release::run(args, connection).await,
            Command::Doctor(args) => doctor::run(args, connection).await,
            Command::Completions(args) => generate::completions(args),
            Command::Man(args) => generate::manual(args),
        }
    });
    // A look-up of a host's name that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}
