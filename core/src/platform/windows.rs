//! Windows.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use socket2::TcpKeepalive;
use winsafe::{QueryPerformanceCounter, QueryPerformanceFrequency};

use crate::fork::InChild;

pub(crate) use std::os::windows::io::AsSocket as AsDescriptor;
pub use std::os::windows::io::{
    AsRawSocket as AsRawDescriptor, BorrowedSocket as BorrowedDescriptor,
    RawSocket as RawDescriptor,
};

/// What an event loop watches of a socket.
pub(crate) fn borrowed(of: &impl AsDescriptor) -> BorrowedDescriptor<'_> {
    of.as_socket()
}

/// Its number.
#[must_use]
pub fn raw(descriptor: BorrowedDescriptor<'_>) -> RawDescriptor {
    descriptor.as_raw_socket()
}

/// The time since the machine was started, with the time that it was suspended: the performance counter goes on during
/// standby and hibernation, and all processes read the same one.
#[inline]
pub(crate) fn since_boot() -> Duration {
    const NANOS: u128 = 1_000_000_000;
    // Neither fails since Windows XP; were the counter missing, a lease could not be timed at all.
    static FREQUENCY: OnceLock<u128> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| {
        let frequency = QueryPerformanceFrequency().expect("the system has no performance counter");
        frequency.unsigned_abs().into()
    });
    let ticks = QueryPerformanceCounter().expect("the system has no performance counter");
    let nanos = u128::from(ticks.unsigned_abs()) * NANOS / frequency;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The system asks ten times; versions before Windows 10 1703 know of no other number.
pub(crate) fn with_retries(keepalive: TcpKeepalive, _: u32) -> TcpKeepalive {
    keepalive
}

/// The system decides how long it tries.
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) fn limit_unreceived(_: &socket2::Socket, _: Duration) -> io::Result<()> {
    Ok(())
}

/// Nothing is inherited: Windows has no fork, and sockets are not passed on to programs that are started.
pub(crate) struct Inheritable;

impl Inheritable {
    pub(crate) fn new(_: &impl AsRawDescriptor) -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "as on Unix")]
    pub(crate) fn close_in_child(&self) {}
}

/// A URL that names a Unix socket is refused before anybody comes here.
#[allow(clippy::unused_async, reason = "as on Unix")]
pub(crate) async fn connect_unix(_: &Path) -> io::Result<(socket2::Socket, InChild)> {
    Err(io::ErrorKind::Unsupported.into())
}
