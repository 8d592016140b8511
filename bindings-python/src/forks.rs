//! How a fork is noticed, whoever forks: Python, uWSGI and others in C, or a call that runs no fork handlers at all.
//!
//! `fork` runs the handlers that `pthread_atfork` was given, in whatever language it is called; what starts programs
//! (`posix_spawn`, `vfork`) runs none, and needs none. What forks past them (`_Fork`, `clone`) is noticed at the next call:
//! a page that the system empties in every child is empty then.

#![allow(
    unsafe_code,
    reason = "the C library and the system have no safe way to be told of forks"
)]

use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use leaselock::fork;
use nix::libc;
use pyo3::PyResult;
use pyo3::exceptions::PyImportError;

use crate::process;

/// What a process writes where its children find nothing.
const HERE: u8 = 1;
/// Where the system cannot empty a page.
static KEPT: AtomicU8 = AtomicU8::new(HERE);
static MARK: AtomicPtr<AtomicU8> = AtomicPtr::new((&raw const KEPT).cast_mut());

fn mark() -> &'static AtomicU8 {
    // SAFETY: it points to `KEPT`, or to a page of the system's, aligned and never given back, which only atomics touch
    // once the pointer is there.
    unsafe { &*MARK.load(Ordering::Relaxed) }
}

/// Sees to it that forks are noticed from now on. Once in a process.
pub(crate) fn watch() -> PyResult<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    emptied_in_children();
    // SAFETY: the handlers are functions that live as long as the process: an extension module is never unloaded.
    let refused = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if refused == 0 {
        Ok(())
    } else {
        Err(PyImportError::new_err(format!(
            "leaselock cannot be told of forks: {}",
            std::io::Error::from_raw_os_error(refused)
        )))
    }
}

/// Notices a fork that ran no handlers.
pub(crate) fn notice() {
    if mark().load(Ordering::Relaxed) != HERE {
        fork::unprepared_child();
        begin();
    }
}

fn begin() {
    mark().store(HERE, Ordering::Relaxed);
    process::begin();
}

extern "C" fn before() {
    // The forking thread may be the first of a child that was not noticed yet.
    notice();
    fork::prepare();
}

extern "C" fn in_parent() {
    fork::parent();
}

extern "C" fn in_child() {
    fork::child();
    begin();
}

/// Moves the mark to a page that the system empties in every child; before Linux 4.14 it cannot.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn emptied_in_children() {
    // SAFETY: what is mapped, written and given back is one new page of the system's, which nobody else knows before it is
    // stored in `MARK`; stored there it is never given back, and when the system empties it, all its bytes are a valid `u8`.
    unsafe {
        let size = size_of::<AtomicU8>();
        let (protection, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let page = libc::mmap(std::ptr::null_mut(), size, protection, kind, -1, 0);
        if page == libc::MAP_FAILED {
            return;
        }
        if libc::madvise(page, size, libc::MADV_WIPEONFORK) == 0 {
            page.cast::<AtomicU8>().write(AtomicU8::new(HERE));
            MARK.store(page.cast(), Ordering::Relaxed);
        } else {
            libc::munmap(page, size);
        }
    }
}
