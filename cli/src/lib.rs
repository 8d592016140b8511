//! The command line of leaselock, as a library: the program `leaselock` and the commands of the Python and the Node
//! package run the very same code.
//!
//! [`run`] takes the arguments, the program's name first, does what they say and returns the exit status. It blocks its
//! thread to the end.

#![forbid(unsafe_code)]
// The doc comments of arguments are help texts, which show backticks as they are.
#![allow(clippy::doc_markdown)]

mod args;
mod connection;
mod doctor;
mod exit;
mod inspect;
mod release;

use std::ffi::OsString;

use args::{Arguments, Command};
use clap::Parser;
use exit::{Exit, Failure};

/// Does what the arguments say, of which the first is the program's name, and returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let outcome = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => perform(&arguments),
        Err(error) => return exit::usage(&error).code(),
    };
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => failure.report().code(),
    }
}

fn perform(arguments: &Arguments) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::OS_ERROR, format!("cannot start: {error}")))?;
    let connection = &arguments.connection;
    runtime.block_on(async {
        match &arguments.command {
            Command::Inspect(args) => inspect::run(args, connection).await,
            Command::Release(args) => release::run(args, connection).await,
            Command::Doctor(args) => doctor::run(args, connection).await,
        }
    })
}
