//! A socket to the server: made, over TCP or as a Unix one, and set up so that one whose other end has gone is found out, and a forked child closes
//! its copy.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use socket2::TcpKeepalive;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::fork::{ClosedInChild, InChild};
use crate::platform::{self, BorrowedDescriptor};
use crate::store::redis::config::Address;

/// After so long without traffic the system asks whether the other end is still there, and then in these intervals: a NAT
/// keeps the connection in mind, and one that forgot it is found out.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// A socket to the server, of which a forked child keeps no copy.
pub(in crate::store::redis) struct Socket(ClosedInChild<socket2::Socket>);

impl Deref for Socket {
    type Target = socket2::Socket;

    fn deref(&self) -> &socket2::Socket {
        &self.0
    }
}

impl Socket {
    /// What an event loop watches.
    pub(in crate::store::redis) fn descriptor(&self) -> BorrowedDescriptor<'_> {
        platform::borrowed(&**self)
    }
}

impl io::Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self.0).read(buffer)
    }
}

impl io::Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects; each address of a host gets its part of `limit`. The socket does not block.
pub(in crate::store::redis) async fn connect(
    address: &Address,
    limit: Duration,
    silence: Duration,
) -> io::Result<Socket> {
    let (host, port) = match address {
        Address::Unix(path) => {
            let (socket, in_child) = platform::connect_unix(path).await?;
            return Ok(Socket(ClosedInChild::known(socket, in_child)));
        }
        Address::Tcp { host, port } => (host.as_str(), *port),
    };
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let each = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut last = io::Error::other("the host name has no address");
    for address in addresses {
        match tokio::time::timeout(each, connect_tcp(address)).await {
            Ok(Ok(socket)) => {
                set_up(&socket, silence)?;
                return Ok(socket);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn connect_tcp(address: SocketAddr) -> io::Result<Socket> {
    let (socket, in_child) = InChild::open(|| match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    })?;
    let mut connected = pin!(socket.connect(address));
    // Given up, it is taken off the list before it is closed.
    let in_child = in_child;
    let stream = connected.as_mut().await?;
    let socket = stream.into_std()?.into();
    Ok(Socket(ClosedInChild::known(socket, in_child)))
}

/// Small requests go out at once, and what is sent is given up after `silence` without a sign that it was received.
fn set_up(socket: &Socket, silence: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&platform::with_retries(keepalive, KEEPALIVE_RETRIES))?;
    platform::limit_unreceived(socket, silence.max(KEEPALIVE_INTERVAL))
}

/// Tells a task of a tokio runtime when a socket can be read or written.
pub(in crate::store::redis) struct Readiness(ClosedInChild<TcpStream>);

impl Readiness {
    /// Of a socket that does not block, in the current runtime.
    pub(in crate::store::redis) fn new(socket: &Socket) -> io::Result<Self> {
        // Only its readiness is of interest, and to that any socket is like another.
        ClosedInChild::open(|| TcpStream::from_std(socket.try_clone()?.into())).map(Self)
    }

    /// Waits until the socket can be read, or has ended; or be written, where that `is_wanted`.
    pub(in crate::store::redis) async fn ready(&self, is_wanted: bool) -> io::Result<Ready> {
        let interest = if is_wanted {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        self.0.ready(interest).await
    }

    /// Uses what is ready: `io` says whether nothing is left of it, so that [`ready`](Self::ready) waits for more.
    pub(in crate::store::redis) fn used(&self, interest: Interest, io: impl FnOnce() -> bool) {
        let _ = self.0.try_io(interest, || {
            if io() {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(())
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_other_end_is_found_out_by_the_system() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = Address::Tcp {
            host: "localhost".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let (limit, silence) = (Duration::from_secs(5), Duration::from_secs(8));
        let socket = connect(&address, limit, silence).await.unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(silence));
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.nonblocking().unwrap());
    }
}
