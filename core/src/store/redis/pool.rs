//! Connections for callers who block: plain sockets used in the caller's own thread, so that an uncontended acquire or
//! release costs one round trip and no hop to another thread.
//!
//! They only ever carry a first attempt on a healthy connection. Whatever goes wrong is left to the shared connection
//! and its retries. TLS connections are not pooled: there every call goes by the shared connection.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{ConnectionAddr, Value};

use super::config::Config;
use super::exchange::Exchange;
use super::failure;
use super::link::SEED_LASTS;
use super::reply::{Garbage, Replies};
use super::socket::{Socket, connect};
use super::wire::Packed;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::store::Failure;

/// Threads beyond this many at once go by the shared connection.
const MAX_CONNECTIONS: usize = 64;
/// How often a blocked caller is asked whether to stop: Ctrl-C is to end it within 100 ms.
pub(super) const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// One blocking connection.
pub(super) struct Blocking {
    socket: Socket,
    replies: Replies,
    /// Kept for its memory.
    request: Packed,
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

    /// TLS connections are not made here.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self.config.addr(), ConnectionAddr::TcpTls { .. })
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

    /// Opens one more connection, in the calling thread, unless there are enough or can be none.
    pub(super) fn open(&self) -> Result<(), Failure> {
        if self.total.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            self.total.fetch_sub(1, Ordering::AcqRel);
            return Ok(());
        }
        let connected = self.connect();
        let Ok(Some(socket)) = connected else {
            self.total.fetch_sub(1, Ordering::AcqRel);
            return connected.map(drop);
        };
        self.put_back(Blocking {
            socket,
            replies: Replies::new(),
            request: Packed::default(),
            seeded: None,
            total: self.total.clone(),
        });
        Ok(())
    }

    /// A socket that is connected and logged in, its reads ending every 50 ms; `None` where there can be none.
    pub(super) fn connect(&self) -> Result<Option<Socket>, Failure> {
        if !self.is_possible() {
            return Ok(None);
        }
        let mut socket = connect(self.config.addr(), self.timeout)
            .map_err(|error| failure::from_connection(&self.config.address(), error.into()))?;
        let handshake = self.config.handshake();
        if !handshake.is_empty() {
            let mut read = Replies::new();
            let request = Packed {
                bytes: handshake.get_packed_pipeline(),
                commands: handshake.len(),
            };
            let replies = self.exchange(&mut socket, &mut read, &request, &|| false)?;
            let refusal = replies.iter().find_map(|reply| match reply {
                Value::ServerError(error) => Some(failure::from_server(error)),
                _ => None,
            });
            if let Some(error) = refusal {
                return Err(Failure::unsent(error));
            }
        }
        Ok(Some(socket))
    }

    /// Sends a request and reads its replies. After an error the connection must be dropped.
    fn exchange(
        &self,
        socket: &mut Socket,
        read: &mut Replies,
        request: &Packed,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let broken = |error: io::Error| {
            let failure = failure::from_connection(&self.config.address(), error.into());
            Failure::unanswered(failure.error)
        };
        socket.write_all(&request.bytes).map_err(broken)?;
        let mut started = None;
        let mut replies = Vec::with_capacity(request.commands);
        while replies.len() < request.commands {
            if let Some(reply) = read.next().map_err(|Garbage| self.garbage())? {
                replies.push(reply);
                continue;
            }
            match socket.read(read.space()) {
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => read.filled(count),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    if interrupted() {
                        let error = Error::new(ErrorKind::Interrupted, "interrupted");
                        return Err(Failure::unanswered(error));
                    }
                    // The first pause has already taken one check interval.
                    let started = *started.get_or_insert_with(Instant::now);
                    if started.elapsed() + INTERRUPT_CHECK >= self.timeout {
                        return Err(Failure::unanswered(Error::unavailable(format!(
                            "the server at {} did not answer within {:?}",
                            self.config.address(),
                            self.timeout
                        ))));
                    }
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(replies)
    }

    fn garbage(&self) -> Failure {
        Failure::unanswered(failure::garbage(&self.config.address()))
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

    /// Sends an exchange's next request and reads its replies. After an error the connection must be dropped.
    pub(super) fn exchange(
        &mut self,
        pool: &Pool,
        exchange: &impl Exchange,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Vec<Value>, Failure> {
        self.request.bytes.clear();
        self.request.commands = 0;
        exchange.request(&mut self.request);
        let (socket, read) = (&mut self.socket, &mut self.replies);
        pool.exchange(socket, read, &self.request, interrupted)
    }
}
