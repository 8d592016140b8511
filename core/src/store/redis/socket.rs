//! A plain socket to the server: TCP or Unix.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use redis::ConnectionAddr;

use super::pool::INTERRUPT_CHECK;

pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }

    /// Another handle to the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    /// Ends the connection in both directions, for every handle.
    pub(super) fn shutdown(&self) {
        // It fails where the connection has ended already.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Connects, with reads that end every 50 ms and writes that end after `timeout`.
pub(super) fn connect(addr: &ConnectionAddr, timeout: Duration) -> io::Result<Socket> {
    let check = timeout.min(INTERRUPT_CHECK);
    match addr {
        ConnectionAddr::Unix(path) => {
            let socket = UnixStream::connect(path)?;
            socket.set_read_timeout(Some(check))?;
            socket.set_write_timeout(Some(timeout))?;
            Ok(Socket::Unix(socket))
        }
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            let mut last = io::Error::other("the host name has no address");
            for address in (host.as_str(), *port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, timeout) {
                    Ok(socket) => {
                        socket.set_nodelay(true)?;
                        socket.set_read_timeout(Some(check))?;
                        socket.set_write_timeout(Some(timeout))?;
                        return Ok(Socket::Tcp(socket));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        _ => Err(io::Error::other("this kind of address is not supported")),
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Tcp(socket) => socket.read(buf),
            Self::Unix(socket) => socket.read(buf),
        };
        // A signal ends the read like a pause does, so that the caller looks at once whether it is to stop.
        read.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(buf),
            Self::Unix(socket) => socket.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
