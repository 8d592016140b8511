//! How every connection to a server begins: socket, TLS, log-in, and a look at what answers.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::io::Interest;

use super::config::{Address, Config, Topology};
use super::confirming::Confirming;
use super::conn::{Arrivals, Broken, Conn, Progress};
use super::contended::Contended;
use super::failure;
use super::health::Health;
use super::locator::Locator;
use super::log_in::LogIn;
use super::socket::{self, Readiness, Socket};
use super::wire::field;
use crate::error::{Error, ErrorKind};
use crate::store::Failure;

/// A connection that has begun, and its socket.
pub(super) type Opened<W> = (Conn<W>, Socket);

/// A server that connections can be made to, wherever it is.
pub(super) struct Server {
    pub(super) config: Arc<Config>,
    pub(super) locator: Box<dyn Locator>,
    pub(super) health: Health,
    pub(super) contended: Arc<Contended>,
}

impl Server {
    pub(super) fn new(
        config: Arc<Config>,
        locator: Box<dyn Locator>,
        health: Health,
        contended: Arc<Contended>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            locator,
            health,
            contended,
        })
    }

    /// What is to be confirmed of a request that sets leases of `ttl`, and is answered within `limit`.
    pub(super) fn confirming(&self, ttl: Duration, limit: Duration) -> Option<Confirming> {
        Confirming::of_leases(self.config.replicas(), ttl, limit)
    }

    /// A connection to `address` that is logged in to a server that may be written to, with its socket, which does not block.
    pub(super) async fn connect<W>(&self, address: &Address) -> Result<Opened<W>, Failure> {
        self.connect_as(address, true).await
    }

    /// The same, to whatever it is that answers there.
    pub(super) async fn connect_to_any<W>(&self, address: &Address) -> Result<Opened<W>, Failure> {
        self.connect_as(address, false).await
    }

    async fn connect_as<W>(
        &self,
        address: &Address,
        is_for_locks: bool,
    ) -> Result<Opened<W>, Failure> {
        let limit = self.health.connecting();
        // So much sooner than callers give up that they are told what it was.
        let asking = limit.min(self.health.silence() * 4 / 5);
        let (log_in, in_time) = self.config.log_ins().next(asking).await;
        let log_in = log_in.inspect_err(|_| self.health.connected(limit, in_time))?;
        let begun = self.begin(address, &log_in, limit, is_for_locks);
        let connecting = tokio::time::timeout(limit, begun);
        let connected = connecting.await;
        self.health.connected(limit, connected.is_ok());
        connected.unwrap_or_else(|_| {
            let mut failure = unconnected(&address.to_string(), limit);
            if self.config.speaks_tls() {
                // A server that does not takes the first words of TLS for the beginning of a long command.
                let question = "if it does not speak TLS, begin its URL with redis://";
                failure = Failure::unsent(failure.error.with_advice(question));
            }
            Err(self.advised(address, failure))
        })
    }

    /// The failure of reaching a server, with what to do about it where that is known.
    fn advised(&self, address: &Address, failure: Failure) -> Failure {
        match self.locator.advice(address) {
            Some(advice) => Failure::unsent(failure.error.with_advice(&advice)),
            None => failure,
        }
    }

    async fn begin<W>(
        &self,
        address: &Address,
        log_in: &LogIn,
        limit: Duration,
        is_for_locks: bool,
    ) -> Result<Opened<W>, Failure> {
        let broken = |broken| {
            let failure = Failure::unsent(failure::from_broken(address, broken).error);
            self.advised(address, failure)
        };
        let io = |error| broken(Broken::Io(error));
        let tls = self.config.tls(address).map_err(Failure::unsent)?;
        let silence = self.health.silence();
        let socket = socket::connect(address, limit, silence).await.map_err(io)?;
        let mut conn = Conn::new(tls, self.health.clone());
        conn.begin((), Some(silence), |(), out| self.config.greet(log_in, out));
        let replies = drive(&mut conn, &socket).await.map_err(|error| {
            let hung_up =
                matches!(&error, Broken::Io(error) if error.kind() != std::io::ErrorKind::TimedOut);
            let failure = broken(error);
            if !hung_up || self.config.speaks_tls() {
                return failure;
            }
            let question = "if it speaks TLS, begin its URL with rediss://";
            Failure::unsent(failure.error.with_advice(question))
        })?;
        self.look_at(address, &replies, log_in, is_for_locks)?;
        conn.set_asked_log_in(self.config.log_ins().is_asked_for());
        conn.set_of_cluster(*self.config.topology() == Topology::Cluster);
        Ok((conn.handed_over(), socket))
    }

    /// Whether what answered is a server to take locks on.
    fn look_at(
        &self,
        address: &Address,
        replies: &[Value],
        log_in: &LogIn,
        is_for_locks: bool,
    ) -> Result<(), Failure> {
        // The name that a client tells is a nicety, which comes last.
        let needed = replies.len() - log_in.niceties();
        for reply in &replies[..needed] {
            if let Value::ServerError(error) = reply {
                let words = log_in.without_password(&failure::words_of(error));
                return Err(failure::from_handshake(
                    address,
                    error,
                    &words,
                    log_in.origin(),
                ));
            }
        }
        if !is_for_locks {
            return Ok(());
        }
        let hello = &replies[needed - 1];
        if self.config.is_for_sentinels() {
            return match field(hello, "mode") {
                Some("sentinel") => Ok(()),
                _ => Err(Failure::unsent(Error::new(
                    ErrorKind::StoreRefused,
                    format!(
                        "the server at {address} is no sentinel; name sentinels before the service, whose port is 26379 by default, \
                         or begin the URL with redis:// for this server alone (TLS: rediss://)"
                    ),
                ))),
            };
        }
        let is_of_cluster = *self.config.topology() == Topology::Cluster;
        let wrong = match field(hello, "mode") {
            Some("sentinel") => Some(format!(
                "the server at {address} is a sentinel, which keeps no locks; name the service whose master it watches, \
                 as in redis+sentinel://{address}/mymaster"
            )),
            Some("cluster") if !is_of_cluster => Some(format!(
                "the server at {address} is of a cluster; begin its URL with redis+cluster:// (TLS: rediss+cluster://)"
            )),
            Some("standalone") if is_of_cluster => Some(format!(
                "the server at {address} is not of a cluster; begin its URL with redis:// (TLS: rediss://)"
            )),
            _ => None,
        };
        if let Some(words) = wrong {
            return Err(Failure::unsent(Error::new(ErrorKind::StoreRefused, words)));
        }
        match field(hello, "role") {
            Some("replica" | "slave") => Err(Failure::unsent(Error::unavailable(format!(
                "the server at {address} is a replica; it may have been its master until now, or name the master"
            )))),
            _ => Ok(()),
        }
    }
}

/// The failure of connecting to `address` for longer than `limit`.
pub(super) fn unconnected(address: &str, limit: Duration) -> Failure {
    Failure::unsent(Error::unavailable(format!(
        "no connection to the server at {address} within {limit:?}"
    )))
}

/// Writes and reads until the request under way is answered.
async fn drive(conn: &mut Conn<()>, mut socket: &Socket) -> Result<Vec<Value>, Broken> {
    let readiness = Readiness::new(socket).map_err(Broken::Io)?;
    let mut arrived = Arrivals::default();
    loop {
        // What cannot be written shows when it is read, behind what the server said before.
        let mut flushed = Ok(true);
        readiness.used(Interest::WRITABLE, || {
            flushed = conn.flush(&mut socket);
            matches!(flushed, Ok(false))
        });
        let mut progress = Ok(Progress::Nothing);
        readiness.used(Interest::READABLE, || {
            progress = conn.read(&mut socket, &mut arrived);
            !matches!(progress, Ok(Progress::More))
        });
        let mut progress = progress?;
        if flushed.is_err() && progress == Progress::Nothing {
            // The runtime may not have heard yet that there is something to read.
            progress = conn.read(&mut socket, &mut arrived)?;
        }
        if let Some(answered) = arrived.answers.pop() {
            return Ok(answered.replies);
        }
        if progress == Progress::Nothing
            && let Err(error) = flushed
        {
            return Err(Broken::Io(error));
        }
        readiness
            .ready(conn.wants_write())
            .await
            .map_err(Broken::Io)?;
    }
}
