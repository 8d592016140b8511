//! What each system does in its own way: how libuv is found and watches a socket, what a program inherits, and how the end of
//! the process is noticed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{at_exit, pass_on_standard_files, program, watch_socket};
#[cfg(windows)]
pub(crate) use windows::{at_exit, pass_on_standard_files, program, watch_socket};
