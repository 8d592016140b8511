//! The network between the clients and the server: connections of two directions each, in which bytes take their time, are held up, or
//! vanish.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leaselock::simulation::Stream;

use crate::server::ConnId;
use crate::worlds::world::{Event, State, World};

/// The clients' end of a connection.
pub(crate) struct End {
    world: Arc<World>,
    number: usize,
}

/// What was sent, and when.
pub(crate) struct Segment {
    bytes: Vec<u8>,
    sent: u64,
}

/// One direction.
#[derive(Default)]
pub(crate) struct Direction {
    under_way: VecDeque<Segment>,
    /// When the last of it arrives.
    last: u64,
    /// Nothing arrives before.
    stalled_until: u64,
    /// Nothing arrives any more.
    is_hole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Refused,
    Open,
    /// The server has closed it, and the client has read all that came before.
    Closed,
    Reset,
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) process: usize,
    pub(crate) at_server: Option<ConnId>,
    phase: Phase,
    there: Direction,
    back: Direction,
    arrived: Vec<u8>,
    read: usize,
    waker: Option<Waker>,
    /// The server has closed it, behind what is under way.
    is_ending: bool,
    /// The client has given it up.
    pub(crate) is_dropped: bool,
}

impl Connection {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn forget_waker(&mut self) {
        self.waker = None;
    }

    /// Whether the client uses it.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.is_dropped && matches!(self.phase, Phase::Connecting | Phase::Open)
    }

    /// Nothing arrives before `until` in these directions.
    pub(crate) fn stall(&mut self, there: bool, back: bool, until: u64) {
        for (chosen, direction) in [(there, &mut self.there), (back, &mut self.back)] {
            if chosen {
                direction.stalled_until = direction.stalled_until.max(until);
            }
        }
    }

    /// Nothing arrives any more in these directions.
    pub(crate) fn swallow(&mut self, there: bool, back: bool) {
        for (chosen, direction) in [(there, &mut self.there), (back, &mut self.back)] {
            if chosen {
                direction.is_hole = true;
                direction.under_way.clear();
            }
        }
    }

    /// The client learns that it was reset. What it had sent may arrive `late` µs later still.
    pub(crate) fn reset(&mut self, late: Option<u64>, now: u64) {
        self.phase = Phase::Reset;
        self.back.is_hole = true;
        self.back.under_way.clear();
        match late {
            Some(late) => self.there.stalled_until = self.there.stalled_until.max(now + late),
            None => self.swallow(true, false),
        }
        self.wake();
    }
}

impl State {
    /// A client begins to connect.
    pub(crate) fn connect(&mut self, process: usize) -> usize {
        let number = self.connections.len();
        self.connections.push(Connection {
            process,
            at_server: None,
            phase: Phase::Connecting,
            there: Direction::default(),
            back: Direction::default(),
            arrived: Vec::new(),
            read: 0,
            waker: None,
            is_ending: false,
            is_dropped: false,
        });
        let at = self.now() + self.delay();
        self.schedule(at, Event::Connect(number));
        number
    }

    /// The wish to connect arrives.
    pub(crate) fn on_connect(&mut self, number: usize) {
        let now = self.now();
        let process = self.connections[number].process;
        let fault = &self.processes[process].no_connections;
        if let Some((refused, until)) = *fault
            && now < until
        {
            if refused {
                self.refuse(number);
            }
            return;
        }
        if self.processes[process].is_dead || self.connections[number].is_dropped {
            return;
        }
        if self.is_down() {
            self.refuse(number);
            return;
        }
        let at_server = self.accept(number);
        self.connections[number].at_server = Some(at_server);
        let at = now + self.delay();
        self.schedule(at, Event::Connected(number));
    }

    fn refuse(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.phase = Phase::Refused;
        connection.wake();
    }

    pub(crate) fn on_connected(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        if connection.phase == Phase::Connecting {
            connection.phase = Phase::Open;
            connection.wake();
        }
    }

    /// Something is sent to the server.
    fn send(&mut self, number: usize, bytes: &[u8]) {
        let (now, delay) = (self.now(), self.delay());
        let direction = &mut self.connections[number].there;
        if direction.is_hole {
            return;
        }
        direction.last = direction.last.max(now + delay);
        direction.under_way.push_back(Segment {
            bytes: bytes.to_vec(),
            sent: now,
        });
        let at = direction.last;
        self.schedule(at, Event::Arrives(number));
    }

    /// Something that was sent to the server may arrive.
    pub(crate) fn on_arrives(&mut self, number: usize) {
        let now = self.now();
        let lasts = self.lasts();
        let connection = &mut self.connections[number];
        let direction = &mut connection.there;
        let until = direction.stalled_until;
        let Some(segment) = direction.under_way.front() else {
            return;
        };
        if now >= segment.sent + lasts {
            // The system has given it up, as the client relies on.
            connection.swallow(true, false);
            return;
        }
        if until > now {
            self.schedule(until, Event::Arrives(number));
            return;
        }
        let stopped = self.stopped_until();
        if stopped > now {
            self.schedule(stopped, Event::Arrives(number));
            return;
        }
        let connection = &mut self.connections[number];
        if let (Some(segment), Some(at_server)) =
            (connection.there.under_way.pop_front(), connection.at_server)
        {
            if self.connections[number].is_in_use() {
                self.feed(at_server, &segment.bytes);
            } else {
                self.feed_late(at_server, &segment.bytes);
            }
        }
    }

    /// The server says something.
    pub(crate) fn answer(&mut self, number: usize, bytes: Vec<u8>) {
        let (now, delay) = (self.now(), self.delay());
        let direction = &mut self.connections[number].back;
        if direction.is_hole {
            return;
        }
        direction.last = direction.last.max(now + delay);
        direction.under_way.push_back(Segment { bytes, sent: now });
        let at = direction.last;
        self.schedule(at, Event::Answers(number));
    }

    /// Something that the server has said may arrive.
    pub(crate) fn on_answers(&mut self, number: usize) {
        let now = self.now();
        let connection = &mut self.connections[number];
        let until = connection.back.stalled_until;
        if until > now {
            self.schedule(until, Event::Answers(number));
            return;
        }
        let Some(segment) = connection.back.under_way.pop_front() else {
            return;
        };
        if connection.phase == Phase::Open || connection.phase == Phase::Connecting {
            connection.arrived.extend_from_slice(&segment.bytes);
            connection.wake();
            self.record.note(now, 3, &segment.bytes, || {
                format!("    connection {number} hears {}", shown(&segment.bytes))
            });
        }
    }

    /// The server has closed a connection, and nothing comes behind that.
    pub(crate) fn end(&mut self, number: usize) {
        self.connections[number].at_server = None;
        let at = self.connections[number].back.last.max(self.now());
        self.schedule(at, Event::Ends(number));
    }

    pub(crate) fn on_ends(&mut self, number: usize) {
        let now = self.now();
        let connection = &mut self.connections[number];
        if connection.back.is_hole {
            return;
        }
        if connection.back.stalled_until > now {
            let until = connection.back.stalled_until;
            self.schedule(until, Event::Ends(number));
            return;
        }
        connection.is_ending = true;
        connection.wake();
    }

    /// The client has given a connection up: what it has sent still arrives, and then the server hears of that.
    fn drop_connection(&mut self, number: usize) {
        let (now, delay) = (self.now(), self.delay());
        let connection = &mut self.connections[number];
        if std::mem::replace(&mut connection.is_dropped, true) {
            return;
        }
        let process = connection.process;
        if connection.phase == Phase::Reset || self.processes[process].is_dead {
            return;
        }
        let connection = &mut self.connections[number];
        let at = connection.there.last.max(now + delay);
        self.schedule(at, Event::Leaves(number));
    }

    /// The server may hear that a client has given a connection up.
    pub(crate) fn on_leaves(&mut self, number: usize) {
        let now = self.now();
        let direction = &self.connections[number].there;
        if direction.is_hole {
            // Nobody tells it but its own system, much later.
            return;
        }
        let until = direction.stalled_until.max(self.stopped_until());
        if until > now || !direction.under_way.is_empty() {
            self.schedule(until.max(now + 1_000), Event::Leaves(number));
            return;
        }
        self.hang_up(number);
    }
}

/// Bytes of the wire as people read them: the words, long ones cut.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = Vec::new();
    for line in text.split("\r\n") {
        let is_length = |rest: &str| rest.parse::<i64>().is_ok_and(|length| length >= 0);
        let rest = line.get(1..).unwrap_or("");
        if line.is_empty() || line.starts_with(['$', '%', '~']) && is_length(rest) {
            continue;
        }
        if line.starts_with(['*', '>']) && is_length(rest) {
            words.push("|".to_owned());
            continue;
        }
        let line = line.replace('\n', " ");
        words.push(match line.char_indices().nth(70) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        });
    }
    words.join(" ")
}

impl End {
    pub(crate) fn new(world: Arc<World>, number: usize) -> Self {
        Self { world, number }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State, usize) -> T) -> T {
        self.world.with(|state| look(state, self.number))
    }
}

impl Stream for End {
    fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state, number| {
            let connection = &mut state.connections[number];
            match connection.phase {
                Phase::Connecting => {
                    connection.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                Phase::Refused => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
                Phase::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Phase::Open | Phase::Closed => Poll::Ready(Ok(())),
            }
        })
    }

    fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        self.with(|state, number| {
            let connection = &mut state.connections[number];
            let rest = &connection.arrived[connection.read..];
            if !rest.is_empty() {
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                connection.read += count;
                if connection.read == connection.arrived.len() {
                    connection.arrived.clear();
                    connection.read = 0;
                }
                return Ok(count);
            }
            match connection.phase {
                Phase::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Phase::Closed => Ok(0),
                _ if connection.is_ending => {
                    connection.phase = Phase::Closed;
                    Ok(0)
                }
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|state, number| {
            let connection = &state.connections[number];
            match connection.phase {
                Phase::Reset => return Err(io::ErrorKind::BrokenPipe.into()),
                Phase::Refused => return Err(io::ErrorKind::NotConnected.into()),
                _ => {}
            }
            if !state.processes[connection.process].is_dead {
                let now = state.now();
                state.record.note(now, 2, bytes, || {
                    format!("    connection {number} says {}", shown(bytes))
                });
                state.send(number, bytes);
            }
            Ok(bytes.len())
        })
    }

    fn poll_ready(&self, wants_write: bool, context: &mut Context<'_>) -> Poll<()> {
        self.with(|state, number| {
            let connection = &mut state.connections[number];
            let is_over =
                connection.is_ending || matches!(connection.phase, Phase::Reset | Phase::Closed);
            if wants_write || is_over || connection.read < connection.arrived.len() {
                return Poll::Ready(());
            }
            connection.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.with(State::drop_connection);
    }
}
