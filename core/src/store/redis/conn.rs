//! One connection to a server, without I/O of its own: requests and bytes go in, bytes and replies come out, over plain
//! text and TLS. Whoever has the socket drives it: a caller who blocks, an event loop, a task.
//!
//! When a connection is no good any more is decided here and in [`health`](super::health) alone.

mod confirmed;
mod seeds;
mod silence;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use redis::{ServerError, Value};
use rustls::ClientConnection;

use self::seeds::Seeds;
use super::confirming::{Confirming, LATENESS};
use super::failure;
use super::health::Health;
use super::reply::{Garbage, Incoming, Replies};
use super::tls;
use super::wire::Packed;
use crate::clock::Moment;
use crate::seeded::{self, Bug};

/// A `take` counts on the counter's seed for this long after a `wait` was sent on the same connection.
const SEED_LASTS: Duration = Duration::from_secs(1);

/// Reads at one time: whoever sends without end does not keep those who wait for something else from their turn.
const READS: usize = 16;

/// A connection. `W` is who waits for a request: given with it, and given back with its replies.
pub(super) struct Conn<W> {
    tls: Option<Box<ClientConnection>>,
    out: Packed,
    /// How much of `out` is written.
    written: usize,
    replies: Replies,
    under_way: VecDeque<InFlight<W>>,
    /// So many of the first under way have their replies, and wait for replicas.
    unconfirmed: usize,
    /// What is to be confirmed of what was begun since the last WAIT.
    to_confirm: Option<Confirming>,
    /// While the server waits for replicas, it answers nothing: that is over by then.
    blocked: Option<Moment>,
    /// When that was last over.
    unblocked: Moment,
    health: Health,
    /// When a request's limit passes next, or earlier.
    due: Option<Moment>,
    heard: Moment,
    seeds: Seeds,
    /// It is to a cluster, in which whoever has not got a slot says who has.
    is_of_cluster: bool,
    /// What it answered that says that it is the wrong server to ask.
    misled: Option<String>,
    /// A function gave the log-in, and may have a better one for the next connection.
    has_asked_log_in: bool,
}

/// A request without all its replies.
struct InFlight<W> {
    /// `None`: it is a WAIT for the replicas of those before it.
    waiter: Option<W>,
    sent: Moment,
    limit: Moment,
    /// Whoever waits was told that the limit has passed.
    told: bool,
    expected: usize,
    /// It is answered when its WAIT is, whose reply is then its last.
    is_to_be_confirmed: bool,
    replies: Vec<Value>,
}

/// A request with all its replies.
pub(super) struct Completed<W> {
    pub(super) waiter: W,
    /// When it was begun: before a byte of it was written.
    pub(super) sent: Moment,
    /// Whoever waited was told that its limit had passed.
    pub(super) told: bool,
    pub(super) replies: Vec<Value>,
}

/// What was read.
pub(super) struct Arrivals<W> {
    pub(super) answers: Vec<Completed<W>>,
    /// Messages, each with its kind first.
    pub(super) pushes: Vec<Vec<Value>>,
}

impl<W> Default for Arrivals<W> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            pushes: Vec::new(),
        }
    }
}

/// How far reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was there to be read.
    Nothing,
    /// All was read that was there.
    Drained,
    /// There may be more.
    More,
}

/// Why a connection has ended.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    Tls(rustls::Error),
    /// The server does not know any more who is there, and the next connection may log in with another password.
    LoggedOut,
    /// What came is no reply to what was asked.
    Garbage,
    /// The server said this unasked, as it does before it closes a connection.
    Said(ServerError),
}

impl<W> Conn<W> {
    pub(super) fn new(tls: Option<ClientConnection>, health: Health) -> Self {
        Self {
            tls: tls.map(Box::new),
            out: Packed::default(),
            written: 0,
            replies: Replies::new(),
            under_way: VecDeque::new(),
            unconfirmed: 0,
            to_confirm: None,
            blocked: None,
            unblocked: Moment::now(),
            health,
            due: None,
            heard: Moment::now(),
            seeds: Seeds::default(),
            is_of_cluster: false,
            misled: None,
            has_asked_log_in: false,
        }
    }

    /// The same connection for other waiters, when nothing is under way: after the handshake.
    pub(super) fn handed_over<V>(self) -> Conn<V> {
        debug_assert!(self.under_way.is_empty());
        Conn {
            tls: self.tls,
            out: self.out,
            written: self.written,
            replies: self.replies,
            under_way: VecDeque::new(),
            unconfirmed: 0,
            to_confirm: None,
            blocked: None,
            unblocked: self.unblocked,
            health: self.health,
            due: None,
            heard: self.heard,
            seeds: self.seeds,
            is_of_cluster: self.is_of_cluster,
            misled: self.misled,
            has_asked_log_in: self.has_asked_log_in,
        }
    }

    /// Says, after the handshake, whether a function gave the log-in: then a server that does not know who is there any more
    /// ends the connection.
    pub(super) fn set_asked_log_in(&mut self, is_asked: bool) {
        self.has_asked_log_in = is_asked;
    }

    /// Says, after the handshake, whether the server is of a cluster: that it has not got a slot ends the connection elsewhere.
    pub(super) fn set_of_cluster(&mut self, is_of_cluster: bool) {
        self.is_of_cluster = is_of_cluster;
    }

    /// Begins a request: `pack` writes its commands. An answer is expected within `limit`, or else within the patience of
    /// all connections to this server.
    pub(super) fn begin(
        &mut self,
        waiter: W,
        limit: Option<Duration>,
        pack: impl FnOnce(&W, &mut Packed),
    ) {
        self.begin_confirmed(waiter, limit, None, pack);
    }

    /// The same, for a request that is answered when replicas have what it writes: how many have is its last reply.
    pub(super) fn begin_confirmed(
        &mut self,
        waiter: W,
        limit: Option<Duration>,
        confirming: Option<Confirming>,
        pack: impl FnOnce(&W, &mut Packed),
    ) {
        self.out.commands = 0;
        let sent = Moment::now();
        pack(&waiter, &mut self.out);
        let mut limit = limit.unwrap_or_else(|| self.health.patience());
        if let Some(confirming) = confirming {
            limit += LATENESS;
            self.to_confirm = Some(confirming.and(self.to_confirm));
        }
        self.push(Some(waiter), sent, limit, confirming.is_some());
    }

    fn push(&mut self, waiter: Option<W>, sent: Moment, limit: Duration, is_to_be_confirmed: bool) {
        let limit = self.blocked.map_or(sent, |until| until.max(sent)) + limit;
        self.due = Some(self.due.map_or(limit, |due| due.min(limit)));
        self.under_way.push_back(InFlight {
            waiter,
            sent,
            limit,
            told: false,
            expected: self.out.commands,
            is_to_be_confirmed,
            replies: Vec::with_capacity(self.out.commands),
        });
    }

    /// How many bytes of requests are not written yet.
    pub(super) fn unwritten(&self) -> usize {
        self.out.bytes.len() - self.written
    }

    pub(super) fn wants_write(&self) -> bool {
        self.unwritten() > 0
            || self.wants_wait()
            || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what can be written now; whether all is. A failure shows again in the next [`read`](Self::read), with what the
    /// server may have said before.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        self.wait_for_replicas();
        self.write(socket)
    }

    /// The same, while more is to be begun: what is to be confirmed is confirmed together with that.
    pub(super) fn write(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            if self.written < self.out.bytes.len() {
                tls.writer().write_all(&self.out.bytes[self.written..])?;
            }
            self.all_written();
            while tls_wants_write(self.tls.as_deref()) {
                let Some(tls) = &mut self.tls else { break };
                match tls.write_tls(socket) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(_) => {}
                    Err(error) if is_pause(&error) => return Ok(false),
                    Err(error) if is_signal(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(true);
        }
        while self.written < self.out.bytes.len() {
            match socket.write(&self.out.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if is_pause(&error) => return Ok(false),
                Err(error) if is_signal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.all_written();
        Ok(true)
    }

    fn all_written(&mut self) {
        self.out.bytes.clear();
        self.written = 0;
    }

    /// Reads what is there, until nothing is under way or nothing more is there. After a failure the connection is of no
    /// more use, and what is under way stays unanswered.
    pub(super) fn read(
        &mut self,
        socket: &mut impl Read,
        arrived: &mut Arrivals<W>,
    ) -> Result<Progress, Broken> {
        let mut progress = Progress::Nothing;
        for _ in 0..READS {
            let short = match self
                .fill(socket)
                .map_err(|broken| self.last_words(broken))?
            {
                None if progress == Progress::Nothing => return Ok(Progress::Nothing),
                None => return Ok(Progress::Drained),
                Some(short) => short,
            };
            progress = if short {
                Progress::Drained
            } else {
                Progress::More
            };
            self.heard = Moment::now();
            self.take_in(arrived)?;
            if short || self.under_way.is_empty() {
                break;
            }
        }
        Ok(progress)
    }

    /// What a connection broke with: the server's own words, where it said why before it closed.
    fn last_words(&mut self, broken: Broken) -> Broken {
        let front = self.under_way.get_mut(self.unconfirmed);
        match (broken, front.and_then(|request| request.replies.pop())) {
            (Broken::Io(_), Some(Value::ServerError(error))) => Broken::Said(error),
            (broken, _) => broken,
        }
    }

    /// One read from the socket; `None` when nothing is there, otherwise whether that was all.
    fn fill(&mut self, socket: &mut impl Read) -> Result<Option<bool>, Broken> {
        let Some(tls) = &mut self.tls else {
            let space = self.replies.space();
            let room = space.len();
            return match socket.read(space) {
                Ok(0) => Err(Broken::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.replies.filled(count);
                    Ok(Some(count < room))
                }
                Err(error) if is_pause(&error) || is_signal(&error) => Ok(None),
                Err(error) => Err(Broken::Io(error)),
            };
        };
        match tls.read_tls(socket) {
            Ok(0) => return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if is_pause(&error) || is_signal(&error) => return Ok(None),
            Err(error) => return Err(Broken::Io(error)),
        }
        if let Err(error) = tls.process_new_packets() {
            return Err(Broken::Tls(error));
        }
        loop {
            match tls.reader().read(self.replies.space()) {
                // The server has said that it closes; what came before is read first.
                Ok(0) => return Ok(Some(false)),
                Ok(count) => self.replies.filled(count),
                Err(error) if is_pause(&error) => return Ok(Some(false)),
                Err(error) => return Err(Broken::Io(error)),
            }
        }
    }

    /// Sorts what was read.
    fn take_in(&mut self, arrived: &mut Arrivals<W>) -> Result<(), Broken> {
        while let Some(incoming) = self.replies.next().map_err(|Garbage| Broken::Garbage)? {
            let reply = match incoming {
                Incoming::Push(message) if !is_confirmation(&message) => {
                    arrived.pushes.push(message);
                    continue;
                }
                Incoming::Push(confirmation) => Value::Array(confirmation),
                Incoming::Reply(reply) => reply,
            };
            let Some(request) = self.under_way.get_mut(self.unconfirmed) else {
                return Err(match reply {
                    Value::ServerError(error) => Broken::Said(error),
                    _ => Broken::Garbage,
                });
            };
            if self.has_asked_log_in && failure::is_of_no_log_in(&reply) {
                return Err(Broken::LoggedOut);
            }
            if self.misled.is_none() {
                self.misled = failure::words_of_wrong_server(&reply, self.is_of_cluster);
            }
            request.replies.push(reply);
            if request.replies.len() == request.expected {
                self.answered(arrived);
            }
        }
        if self.under_way.is_empty() {
            self.due = None;
        }
        Ok(())
    }

    /// The first request that was not answered before has all its replies.
    fn answered(&mut self, arrived: &mut Arrivals<W>) {
        let Some(request) = self.under_way.get(self.unconfirmed) else {
            return;
        };
        if request.is_to_be_confirmed {
            self.unconfirmed += 1;
            return;
        }
        // What it overtakes waits for replicas, which is seldom.
        let request = match self.unconfirmed {
            0 => self.under_way.pop_front(),
            at => self.under_way.remove(at),
        };
        let Some(mut request) = request else { return };
        let Some(waiter) = request.waiter else {
            let reply = request.replies.pop().unwrap_or(Value::Nil);
            return self.confirmed(&reply, arrived);
        };
        // What the server waited for before says nothing about how prompt it is.
        let begun = request.sent.max(self.unblocked);
        self.health.answered(self.heard.since(begun));
        arrived.answers.push(Completed {
            waiter,
            sent: request.sent,
            told: request.told,
            replies: request.replies,
        });
    }

    /// When the certificate runs out that the server showed; `None` without TLS.
    pub(super) fn certificate_expiry(&self) -> Option<SystemTime> {
        self.tls.as_deref().and_then(tls::expiry)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether at most one request is under way.
    pub(super) fn is_alone(&self) -> bool {
        self.under_way.len() <= 1
    }

    /// When something was last heard from the server.
    pub(super) fn heard(&self) -> Moment {
        self.heard
    }

    /// Whether a reply said that this is the wrong server to ask: the connection has to end.
    pub(super) fn is_misled(&self) -> bool {
        self.misled.is_some()
    }

    /// The server's words by which it is the wrong one.
    pub(super) fn misled_by(&self) -> Option<&str> {
        self.misled.as_deref()
    }

    /// Whoever waits for what is under way, in the order in which it was begun; none of it will be answered.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = W> + use<W> {
        self.unconfirmed = 0;
        std::mem::take(&mut self.under_way)
            .into_iter()
            .filter_map(|request| request.waiter)
    }

    // ---- the token counter

    /// Whether a `wait` on this connection seeded the token counter of `slot` within the last second.
    pub(super) fn is_seeded(&self, slot: u16) -> bool {
        if seeded::is_seeded(Bug::TakeUnseeded) {
            return true;
        }
        self.seeds
            .of(slot)
            .is_some_and(|at| Moment::now().since(at) < SEED_LASTS)
    }

    /// Notes that a `wait` in `slot` that was sent at `at` was answered.
    pub(super) fn set_seeded(&mut self, slot: u16, at: Moment) {
        self.seeds.note(slot, at);
    }
}

fn tls_wants_write(tls: Option<&ClientConnection>) -> bool {
    tls.is_some_and(|tls| tls.wants_write())
}

/// Nothing can be read or written just now: also what a socket with a time-out says.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A signal ends a read like a pause does, so that a caller who blocks looks at once whether it is to stop.
fn is_signal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// Whether a message is the reply to a subscription, which comes in its turn among the replies.
fn is_confirmation(message: &[Value]) -> bool {
    // That a server takes a subscription back comes unasked, and is never asked for.
    matches!(message.first(), Some(Value::BulkString(kind)) if matches!(kind.as_slice(), b"subscribe" | b"ssubscribe"))
}

#[cfg(test)]
mod tests;
