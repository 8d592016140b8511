//! Windows.

use std::ffi::c_int;

use leaselock::platform::{BorrowedDescriptor, raw};
use libloading::Library;
use napi::sys::uv_loop_s;

use crate::libuv::{Raw, uv_poll_init_socket};

/// The program that runs, which has libuv in it.
pub(crate) fn program() -> Option<Library> {
    Some(libloading::os::windows::Library::this().ok()?.into())
}

/// Makes `handle` one that watches the socket.
///
/// # Safety
/// The loop is this thread's, the handle has the size of a `uv_poll_t`, and the socket stays open until it is closed.
pub(crate) unsafe fn watch_socket(
    uv: *mut uv_loop_s,
    handle: Raw,
    socket: BorrowedDescriptor<'_>,
) -> c_int {
    // SAFETY: the caller's duty. A socket of Windows is a number of a pointer's size.
    unsafe { uv_poll_init_socket(uv, handle, raw(socket)) }
}

/// What a program inherits is said when it is started.
pub(crate) fn pass_on_standard_files() {}

/// Not to be had: when a library is told of the end, all other threads have been ended, and nobody is left that could give
/// anything back. What is not closed before stays taken until its TTL ends.
pub(crate) fn at_exit(_: extern "C" fn()) {}
