//! A socket, or what a simulation has in its place.

use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{Interest, Ready};

use crate::environment::{Stream, simulated_stream};
use crate::platform::BorrowedDescriptor;
use crate::store::redis::config::Address;

#[path = "socket.rs"]
mod real;

/// Blocking clients and event loops want to know of the system's socket, and these are not simulated.
const NONE: &str = "a simulated socket is none of the system's";

/// A socket to the server.
pub(super) enum Socket {
    Real(real::Socket),
    Simulated(Arc<dyn Stream>),
}

impl Deref for Socket {
    type Target = socket2::Socket;

    fn deref(&self) -> &socket2::Socket {
        match self {
            Self::Real(socket) => socket,
            Self::Simulated(_) => panic!("{NONE}"),
        }
    }
}

impl Socket {
    /// What an event loop watches.
    pub(super) fn descriptor(&self) -> BorrowedDescriptor<'_> {
        match self {
            Self::Real(socket) => socket.descriptor(),
            Self::Simulated(_) => panic!("{NONE}"),
        }
    }
}

impl io::Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Real(socket) => (&mut &*socket).read(buffer),
            Socket::Simulated(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Real(socket) => (&mut &*socket).write(bytes),
            Socket::Simulated(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects.
pub(super) async fn connect(
    address: &Address,
    limit: Duration,
    silence: Duration,
) -> io::Result<Socket> {
    if let Address::Tcp { host, port } = address
        && let Some(stream) = simulated_stream(host, *port)
    {
        poll_fn(|context| stream.poll_connected(context)).await?;
        return Ok(Socket::Simulated(stream));
    }
    real::connect(address, limit, silence)
        .await
        .map(Socket::Real)
}

/// Tells a task of a tokio runtime when a socket can be read or written.
pub(super) enum Readiness {
    Real(real::Readiness),
    Simulated(Arc<dyn Stream>),
}

impl Readiness {
    pub(super) fn new(socket: &Socket) -> io::Result<Self> {
        match socket {
            Socket::Real(socket) => real::Readiness::new(socket).map(Self::Real),
            Socket::Simulated(stream) => Ok(Self::Simulated(stream.clone())),
        }
    }

    pub(super) async fn ready(&self, is_wanted: bool) -> io::Result<Ready> {
        match self {
            Self::Real(readiness) => readiness.ready(is_wanted).await,
            Self::Simulated(stream) => {
                poll_fn(|context| stream.poll_ready(is_wanted, context)).await;
                Ok(Ready::READABLE | Ready::WRITABLE)
            }
        }
    }

    pub(super) fn used(&self, interest: Interest, io: impl FnOnce() -> bool) {
        match self {
            Self::Real(readiness) => readiness.used(interest, io),
            Self::Simulated(_) => {
                io();
            }
        }
    }
}
