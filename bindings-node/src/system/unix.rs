//! Unix.

use std::ffi::c_int;
use std::io;
use std::os::fd::AsFd;

use leaselock::platform::{BorrowedDescriptor, raw};
use libloading::Library;
use napi::sys::uv_loop_s;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::libuv::{Raw, uv_poll_init};

/// The program that runs, which has libuv in it.
#[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn program() -> Option<Library> {
    Some(libloading::os::unix::Library::this().into())
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
    // SAFETY: the caller's duty.
    unsafe { uv_poll_init(uv, handle, raw(socket)) }
}

/// Node keeps its files from the programs that it starts, these three as well. One that is closed stays so.
pub(crate) fn pass_on_standard_files() {
    let _ = fcntl_setfd(io::stdin().as_fd(), FdFlags::empty());
    let _ = fcntl_setfd(io::stdout().as_fd(), FdFlags::empty());
    let _ = fcntl_setfd(io::stderr().as_fd(), FdFlags::empty());
}

/// Has `hook` called when the process ends.
pub(crate) fn at_exit(hook: extern "C" fn()) {
    // SAFETY: as declared in stdlib.h; the addon is never unloaded (`-z nodelete`, by napi-build). Refused only
    // without memory.
    unsafe {
        atexit(hook);
        // Where Bun ends.
        #[cfg(target_os = "linux")]
        at_quick_exit(hook);
    }
}

unsafe extern "C" {
    fn atexit(hook: extern "C" fn()) -> c_int;
    #[cfg(target_os = "linux")]
    fn at_quick_exit(hook: extern "C" fn()) -> c_int;
}
