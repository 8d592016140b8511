//! A file descriptor, or on Windows a socket, that wakes an event loop, or a greenlet.

use std::io;

use leaselock::platform::RawDescriptor;

pub(crate) use imp::Wake;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use std::os::fd::AsRawFd;

    use leaselock::fork::InChild;
    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::{RawDescriptor, io};

    pub(crate) struct Wake {
        _in_child: InChild,
        fd: EventFd,
    }

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let fd = EventFd::from_flags(flags)?;
            Ok(Self {
                _in_child: InChild::new(&fd),
                fd,
            })
        }

        /// What the loop watches for reading.
        pub(crate) fn fd(&self) -> RawDescriptor {
            self.fd.as_raw_fd()
        }

        /// Makes it readable.
        pub(crate) fn wake(&self) {
            // Fails only when the counter is full, and then it is readable.
            let _ = self.fd.write(1);
        }

        /// Makes it unreadable.
        pub(crate) fn clear(&self) {
            let _ = self.fd.read();
        }
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
mod imp {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::{RawDescriptor, io};

    pub(crate) struct Wake {
        reader: UnixStream,
        writer: UnixStream,
    }

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Self { reader, writer })
        }

        /// What the loop watches for reading.
        pub(crate) fn fd(&self) -> RawDescriptor {
            self.reader.as_raw_fd()
        }

        /// Makes it readable.
        pub(crate) fn wake(&self) {
            // Fails only when it is full, and then it is readable.
            let _ = (&self.writer).write(&[1]);
        }

        /// Makes it unreadable.
        pub(crate) fn clear(&self) {
            let mut bytes = [0; 64];
            while matches!((&self.reader).read(&mut bytes), Ok(64)) {}
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use leaselock::platform::raw;

    use super::{RawDescriptor, io};

    /// Of all that a loop or `select` can watch, Windows has sockets alone.
    pub(crate) struct Wake {
        reader: TcpStream,
        writer: TcpStream,
    }

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let writer = TcpStream::connect(listener.local_addr()?)?;
            let address = writer.local_addr()?;
            // Another program may have come in between.
            let reader = loop {
                let (reader, peer) = listener.accept()?;
                if peer == address {
                    break reader;
                }
            };
            writer.set_nodelay(true)?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Self { reader, writer })
        }

        /// What the loop watches for reading.
        pub(crate) fn fd(&self) -> RawDescriptor {
            raw(std::os::windows::io::AsSocket::as_socket(&self.reader))
        }

        /// Makes it readable.
        pub(crate) fn wake(&self) {
            // Fails only when it is full, and then it is readable.
            let _ = (&self.writer).write(&[1]);
        }

        /// Makes it unreadable.
        pub(crate) fn clear(&self) {
            let mut bytes = [0; 64];
            while matches!((&self.reader).read(&mut bytes), Ok(64)) {}
        }
    }
}
