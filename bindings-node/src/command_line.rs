//! The command `leaselock`, run by this process: the very same code as the program of that name.

use std::ffi::OsString;

use napi_derive::napi;

use crate::system::pass_on_standard_files;

/// Does what the arguments say, of which the first is the program's name, and returns the exit status.
#[napi]
pub(crate) fn cli(argv: Vec<String>) -> i32 {
    pass_on_standard_files();
    leaselock_cli::run(argv.into_iter().map(OsString::from))
}
