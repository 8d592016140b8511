//! Connections for callers who block, each driven by whichever caller's own thread has it: an uncontended acquire or
//! release costs one round trip and no hop to another thread.
//!
//! They only ever carry a first attempt on a healthy connection. Whatever goes wrong is left to the shared connection and
//! its retries.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::Value;

use super::config::Address;
use super::confirming::Confirming;
use super::conn::{Arrivals, Broken, Conn, Progress};
use super::connect::Server;
use super::failure;
use super::link::Link;
use super::socket::Socket;
use super::wire::Packed;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::store::{Failure, Spawn};
use crate::sync::lock;

/// Threads beyond this many at once go by the shared connection.
const MAX_CONNECTIONS: usize = 64;
/// A connection that nobody has used for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How often a blocked caller is asked whether to stop: Ctrl-C is to end it within 100 ms.
pub(super) const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// One blocking connection.
pub(super) struct Blocking {
    conn: Conn<()>,
    socket: Arc<Socket>,
    pub(super) address: Arc<Address>,
    /// Kept for its memory.
    arrived: Arrivals<()>,
    /// The shared connection's number when this one was made.
    epoch: u64,
    used: Moment,
    total: Arc<AtomicUsize>,
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.total.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) struct Pool {
    server: Arc<Server>,
    idle: Arc<Mutex<Vec<Blocking>>>,
    total: Arc<AtomicUsize>,
    sweeping: Arc<AtomicBool>,
    closed: AtomicBool,
    spawn: Spawn,
}

impl Pool {
    pub(super) fn new(server: Arc<Server>, spawn: Spawn) -> Self {
        Self {
            server,
            idle: Arc::default(),
            total: Arc::default(),
            sweeping: Arc::default(),
            closed: AtomicBool::new(false),
            spawn,
        }
    }

    /// An idle connection, if there is one that is no older than the shared connection numbered `epoch`: what broke that
    /// one probably broke the others too.
    pub(super) fn checkout(&self, epoch: u64) -> Option<Blocking> {
        loop {
            let connection = lock(&self.idle).pop()?;
            if connection.epoch == epoch {
                return Some(connection);
            }
        }
    }

    /// Puts a healthy connection back.
    pub(super) fn put_back(&self, mut connection: Blocking) {
        if connection.conn.is_misled() {
            self.clear();
        } else if !self.closed.load(Ordering::Acquire) {
            connection.used = Moment::now();
            lock(&self.idle).push(connection);
            if self.closed.load(Ordering::Acquire) {
                // Whoever closed it meanwhile may not have seen this one.
                self.clear();
            }
        }
    }

    /// Drops every connection that is idle, and those in use as they come back.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.clear();
    }

    /// Drops every idle connection: one of them failed, so all may have.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
    }

    /// Opens one more connection to where the shared one of `link` leads, unless there are enough.
    pub(super) async fn open(&self, link: &Link) -> Result<(), Failure> {
        if self.total.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            self.total.fetch_sub(1, Ordering::AcqRel);
            return Ok(());
        }
        let total = Counted(Some(self.total.clone()));
        let (epoch, address) = link.whereabouts().await?;
        let (conn, socket) = self.server.connect(&address).await?;
        let socket = Arc::new(socket);
        let silence = self.server.health.silence();
        blocking(&socket, silence.min(INTERRUPT_CHECK), silence).map_err(|error| {
            Failure::unsent(failure::from_broken(&address, Broken::Io(error)).error)
        })?;
        if !link.admits(epoch, &address, &socket) {
            return Ok(());
        }
        self.put_back(Blocking {
            conn,
            socket,
            address,
            arrived: Arrivals::default(),
            epoch,
            used: Moment::now(),
            total: total.keep(),
        });
        self.sweep();
        Ok(())
    }

    /// Sees that idle connections are closed in time.
    fn sweep(&self) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let (idle, sweeping) = (Arc::downgrade(&self.idle), self.sweeping.clone());
        let total = self.total.clone();
        (self.spawn)(Box::pin(async move {
            loop {
                tokio::time::sleep(IDLE / 10).await;
                let Some(idle) = idle.upgrade() else { return };
                let mut idle = lock(&idle);
                let now = Moment::now();
                let (fresh, old) = std::mem::take(&mut *idle)
                    .into_iter()
                    .partition(|connection| now.since(connection.used) < IDLE);
                *idle = fresh;
                drop(idle);
                drop::<Vec<_>>(old);
                // The next that is opened begins the sweeping anew.
                let over = total.load(Ordering::Acquire) == 0;
                if over {
                    sweeping.store(false, Ordering::Release);
                }
                if over {
                    return;
                }
            }
        }));
    }
}

/// A place in the count of connections, given back unless it is kept.
struct Counted(Option<Arc<AtomicUsize>>);

impl Counted {
    fn keep(mut self) -> Arc<AtomicUsize> {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(total) = &self.0 {
            total.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// From now on reading ends after `pause`, and writing after `timeout`.
fn blocking(socket: &Socket, pause: Duration, timeout: Duration) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(pause))?;
    socket.set_write_timeout(Some(timeout))
}

impl Blocking {
    pub(super) fn is_seeded(&self, slot: u16) -> bool {
        self.conn.is_seeded(slot)
    }

    pub(super) fn set_seeded(&mut self, slot: u16, at: Moment) {
        self.conn.set_seeded(slot, at);
    }

    /// Sends a request whose answer nobody reads, and ends the connection; whether the server has it.
    pub(super) fn send_unheard(mut self, pack: impl FnOnce(&mut Packed)) -> bool {
        self.conn.begin((), None, |(), out| pack(out));
        matches!(self.conn.flush(&mut &*self.socket), Ok(true))
    }

    /// Sends a request and reads its replies, in the calling thread. After an error the connection must be dropped.
    pub(super) fn ask(
        &mut self,
        limit: Option<Duration>,
        confirming: Option<Confirming>,
        interrupted: &dyn Fn() -> bool,
        pack: impl FnOnce(&mut Packed),
    ) -> Result<(Moment, Vec<Value>), Failure> {
        self.conn
            .begin_confirmed((), limit, confirming, |(), out| pack(out));
        loop {
            // What could not be written shows when it is read, behind what the server said before.
            let flushed = self.conn.flush(&mut &*self.socket);
            let progress = self
                .conn
                .read(&mut &*self.socket, &mut self.arrived)
                .map_err(|broken| failure::from_broken(&self.address, broken))?;
            // Nothing is subscribed to here.
            self.arrived.pushes.clear();
            if let Some(answered) = self.arrived.answers.pop() {
                return Ok((answered.sent, answered.replies));
            }
            if let Err(error) = flushed
                && progress == Progress::Nothing
            {
                return Err(failure::from_broken(&self.address, Broken::Io(error)));
            }
            // The next look comes after another pause: half of it early is nearer than half of it late.
            let soon = Moment::now() + INTERRUPT_CHECK / 2;
            if let Some(((), waited)) = self.conn.overdue(soon).pop() {
                return Err(failure::unanswered(&self.address, waited));
            }
            // This may wait for an interpreter that is busy; what arrives meanwhile is still read.
            if interrupted() {
                let error = Error::new(ErrorKind::Interrupted, "interrupted");
                return Err(Failure::unanswered(error));
            }
        }
    }
}
