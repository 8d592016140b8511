//! What each system calls by another name: the clock that counts suspend, and what an event loop watches.
//!
//! One file for each system, with the same items in it. The embedded store has another such folder,
//! `store/embedded/system/`.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{AsRawDescriptor, BorrowedDescriptor, RawDescriptor, raw};
pub(crate) use system::{
    Inheritable, borrowed, connect_unix, limit_unreceived, since_boot, with_retries,
};

/// Whether a server can be reached by a Unix socket.
pub(crate) const HAS_UNIX_SOCKETS: bool = cfg!(unix);
