//! Unix.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::close;
use socket2::TcpKeepalive;
use tokio::net::UnixSocket;

use crate::fork::InChild;

pub(crate) use std::os::fd::AsFd as AsDescriptor;
pub use std::os::fd::{
    AsRawFd as AsRawDescriptor, BorrowedFd as BorrowedDescriptor, RawFd as RawDescriptor,
};

// CLOCK_MONOTONIC stands still during a suspend on Linux, and a lease does not; elsewhere it counts it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// What an event loop watches of a socket.
pub(crate) fn borrowed(of: &impl AsDescriptor) -> BorrowedDescriptor<'_> {
    of.as_fd()
}

/// Its number.
#[must_use]
pub fn raw(descriptor: BorrowedDescriptor<'_>) -> RawDescriptor {
    descriptor.as_raw_fd()
}

/// The time since the machine was started, with the time that it was suspended.
#[inline]
pub(crate) fn since_boot() -> Duration {
    // The clock exists since Linux 2.6.39; were it missing, a lease could not be timed at all.
    let time = clock_gettime(CLOCK).expect("the system has no boot-time clock");
    time.into()
}

/// How often the system asks before it gives the other end up.
pub(crate) fn with_retries(keepalive: TcpKeepalive, retries: u32) -> TcpKeepalive {
    keepalive.with_retries(retries)
}

/// What was sent is given up after so long without a sign that it was received, where the system can be told so.
pub(crate) fn limit_unreceived(socket: &socket2::Socket, limit: Duration) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(limit))?;
    let _ = (socket, limit);
    Ok(())
}

/// A file descriptor that a child inherits.
pub(crate) struct Inheritable(RawFd);

impl Inheritable {
    pub(crate) fn new(descriptor: &impl AsRawFd) -> Self {
        Self(descriptor.as_raw_fd())
    }

    /// Nothing is said on it, and its number leads nowhere from now on: its owner may be in the middle of something when the
    /// fork came from a signal handler, and must not meet a file of somebody else there.
    pub(crate) fn close_in_child(&self) {
        let _ = close(self.0);
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null");
        if let Ok(nowhere) = nowhere {
            if nowhere.as_raw_fd() == self.0 {
                let _ = nowhere.into_raw_fd();
            } else {
                let _ = fcntl(&nowhere, FcntlArg::F_DUPFD_CLOEXEC(self.0));
            }
        }
    }
}

/// Connects to a Unix socket; the result does not block.
pub(crate) async fn connect_unix(path: &Path) -> io::Result<(socket2::Socket, InChild)> {
    let (socket, in_child) = InChild::open(UnixSocket::new_stream)?;
    let mut connected = std::pin::pin!(socket.connect(path));
    // Given up, it is taken off the list before it is closed.
    let in_child = in_child;
    let stream = connected.as_mut().await?;
    Ok((stream.into_std()?.into(), in_child))
}
