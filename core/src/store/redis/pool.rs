//! Connections for callers who block: plain sockets used in the caller's own thread, so that an uncontended acquire or
//! release costs one round trip and no hop to another thread.
//!
//! They only ever carry a first attempt on a healthy connection. Whatever goes wrong is left to the shared connection
//! and its retries. TLS connections are not pooled: there every call goes by the shared connection.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{ConnectionAddr, Parser, Pipeline, Value};

use super::config::Config;
use super::failure;
use super::link::SEED_LASTS;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::store::Failure;

/// Threads beyond this many at once go by the shared connection.
const MAX_CONNECTIONS: usize = 64;
/// How often a blocked caller is asked whether to stop: Ctrl-C is to end it within 100 ms.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One blocking connection.
pub(super) struct Blocking {
    socket: Socket,
    parser: Parser,
    seeded: Option<Moment>,
    total: Arc<AtomicUsize>,
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.total.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) struct Pool {
    config: Config,
    timeout: Duration,
    idle: Mutex<Vec<Blocking>>,
    total: Arc<AtomicUsize>,
}

impl Pool {
    pub(super) fn new(config: Config, timeout: Duration) -> Self {
        Self {
            config,
            timeout,
            idle: Mutex::new(Vec::new()),
            total: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// An idle connection, if there is one.
    pub(super) fn checkout(&self) -> Option<Blocking> {
        self.lock().pop()
    }

    /// Puts a healthy connection back.
    pub(super) fn put_back(&self, connection: Blocking) {
        self.lock().push(connection);
    }

    /// Drops every idle connection: one of them failed, so all may have.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    /// Opens one more connection, in the calling thread; `false` when there are enough, or where there can be none.
    pub(super) fn open(&self) -> Result<bool, Failure> {
        if matches!(self.config.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(false);
        }
        if self.total.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            self.total.fetch_sub(1, Ordering::AcqRel);
            return Ok(false);
        }
        let socket = connect(self.config.addr(), self.timeout);
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                self.total.fetch_sub(1, Ordering::AcqRel);
                return Err(failure::from_connection(
                    &self.config.address(),
                    error.into(),
                ));
            }
        };
        let mut connection = Blocking {
            socket,
            parser: Parser::new(),
            seeded: None,
            total: self.total.clone(),
        };
        let handshake = self.config.handshake();
        if !handshake.is_empty() {
            let replies = connection.exchange(self, &handshake, &|| false)?;
            if let Some(Value::ServerError(error)) = replies
                .iter()
                .find(|reply| matches!(reply, Value::ServerError(_)))
            {
                return Err(Failure {
                    error: failure::from_server(error),
                    unanswered: false,
                });
            }
        }
        self.put_back(connection);
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Blocking>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blocking {
    pub(super) fn is_seeded(&self) -> bool {
        self.seeded
            .is_some_and(|at| Moment::now().since(at) < SEED_LASTS)
    }

    pub(super) fn set_seeded(&mut self, at: Moment) {
        self.seeded = Some(at);
    }

    /// Sends a pipeline and reads as many replies. After an error the connection must be dropped.
    pub(super) fn exchange(
        &mut self,
        pool: &Pool,
        pipeline: &Pipeline,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let broken = |error: redis::RedisError| Failure {
            unanswered: true,
            ..failure::from_connection(&pool.config.address(), error)
        };
        let bytes = pipeline.get_packed_pipeline();
        self.socket
            .write_all(&bytes)
            .map_err(|error| broken(error.into()))?;
        let mut started = None;
        let mut replies = Vec::with_capacity(pipeline.len());
        while replies.len() < pipeline.len() {
            match self.parser.parse_value(&mut self.socket) {
                Ok(Value::Push { .. }) => {}
                Ok(reply) => replies.push(reply),
                Err(error) if error.is_timeout() => {
                    if interrupted() {
                        return Err(Failure {
                            error: Error::new(ErrorKind::Interrupted, "interrupted"),
                            unanswered: true,
                        });
                    }
                    // The first pause has already taken one check interval.
                    let started = *started.get_or_insert_with(Instant::now);
                    if started.elapsed() + INTERRUPT_CHECK >= pool.timeout {
                        return Err(Failure {
                            error: Error::unavailable(format!(
                                "the server at {} did not answer within {:?}",
                                pool.config.address(),
                                pool.timeout
                            )),
                            unanswered: true,
                        });
                    }
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(replies)
    }
}

fn connect(addr: &ConnectionAddr, timeout: Duration) -> std::io::Result<Socket> {
    let check = timeout.min(INTERRUPT_CHECK);
    match addr {
        ConnectionAddr::Unix(path) => {
            let socket = UnixStream::connect(path)?;
            socket.set_read_timeout(Some(check))?;
            socket.set_write_timeout(Some(timeout))?;
            Ok(Socket::Unix(socket))
        }
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            let mut last = std::io::Error::other("the host name has no address");
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
        _ => Err(std::io::Error::other(
            "this kind of address is not supported",
        )),
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = match self {
            Self::Tcp(socket) => socket.read(buf),
            Self::Unix(socket) => socket.read(buf),
        };
        // A signal ends the read like a pause does, so that the caller looks at once whether it is to stop.
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => std::io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(buf),
            Self::Unix(socket) => socket.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
