//! The command `leaselock`, run by this process: the very same code as the program of that name.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;

use napi_derive::napi;
use rustix::io::{FdFlags, fcntl_setfd};

/// Does what the arguments say, of which the first is the program's name, and returns the exit status.
#[napi]
pub(crate) fn cli(argv: Vec<String>) -> i32 {
    // Node keeps its files from the programs that it starts, these three as well. One that is closed stays so.
    let _ = fcntl_setfd(io::stdin().as_fd(), FdFlags::empty());
    let _ = fcntl_setfd(io::stdout().as_fd(), FdFlags::empty());
    let _ = fcntl_setfd(io::stderr().as_fd(), FdFlags::empty());
    leaselock_cli::run(argv.into_iter().map(OsString::from))
}
