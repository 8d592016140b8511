//! A connection on somebody's event loop: it never blocks, and is told when it can be read or written.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::exchange::{Asking, Exchange, Releasing, Step};
use super::link::SEED_LASTS;
use super::reply::{Garbage, Replies};
use super::socket::Socket;
use super::wire::Packed;
use crate::clock::Moment;
use crate::error::Error;
use crate::name::LockId;
use crate::store::{Ask, Failure, LineDone, LineStore, Outside, Releaser};

/// So many bytes of requests are written without waiting for more: the server works on them while the next are made.
/// About half of what 64 callers ask, so that neither side waits for the other (`benches/rows/throughput.py`).
const A_BATCH: usize = 5 * 1024;

pub(super) struct Line {
    socket: Socket,
    replies: Replies,
    client_id: Arc<str>,
    out: Packed,
    /// How much of `out` is written.
    written: usize,
    under_way: VecDeque<Operation>,
    seeded: Option<Moment>,
}

/// One exchange under way.
struct Operation {
    id: u64,
    exchange: Either,
    sent: Moment,
    expected: usize,
    replies: Vec<Value>,
}

enum Either {
    Asking(Asking),
    Releasing(Releasing),
}

impl Line {
    pub(super) fn new(socket: Socket, client_id: &Arc<str>) -> Result<Self, Failure> {
        socket.set_nonblocking().map_err(broken)?;
        Ok(Self {
            socket,
            replies: Replies::new(),
            client_id: client_id.clone(),
            out: Packed::default(),
            written: 0,
            under_way: VecDeque::new(),
            seeded: None,
        })
    }

    fn begin(&mut self, id: u64, exchange: Either) {
        self.out.commands = 0;
        match &exchange {
            Either::Asking(asking) => asking.request(&mut self.out),
            Either::Releasing(releasing) => releasing.request(&mut self.out),
        }
        self.under_way.push_back(Operation {
            id,
            exchange,
            sent: Moment::now(),
            expected: self.out.commands,
            replies: Vec::with_capacity(self.out.commands),
        });
        if self.out.bytes.len() - self.written >= A_BATCH {
            // A failure shows again in the next write, which tells of it.
            let _ = self.flush();
        }
    }

    /// The oldest operation has all its replies: it is done, or goes on with another request.
    fn advance(&mut self, done: &mut Vec<(u64, LineDone)>) {
        let Some(mut operation) = self.under_way.pop_front() else {
            return;
        };
        let (replies, sent) = (&operation.replies, operation.sent);
        let finished = match &mut operation.exchange {
            Either::Asking(asking) => match asking.on_replies(replies, sent) {
                Step::Done(result) => {
                    self.seeded = asking.seeded().or(self.seeded);
                    Some(LineDone::Asked(result))
                }
                Step::Again => None,
            },
            Either::Releasing(releasing) => match releasing.on_replies(replies, sent) {
                Step::Done(result) => Some(LineDone::Released(result)),
                Step::Again => None,
            },
        };
        match finished {
            Some(finished) => done.push((operation.id, finished)),
            None => self.begin(operation.id, operation.exchange),
        }
    }
}

impl LineStore for Line {
    fn take(&mut self, id: u64, lock: &LockId, owner: &Arc<str>, ttl: Duration) {
        let seeded = self
            .seeded
            .is_some_and(|at| Moment::now().since(at) < SEED_LASTS);
        let asking = Asking::new(lock, owner, ttl, &self.client_id, Ask::Take, seeded);
        self.begin(id, Either::Asking(asking));
    }

    fn release(&mut self, id: u64, lock: &LockId, owner: &Arc<str>) {
        let releasing = Releasing::new(lock, Releaser::Own(owner.clone()), &self.client_id);
        self.begin(id, Either::Releasing(releasing));
    }

    fn is_unwritten(&self) -> bool {
        self.written < self.out.bytes.len()
    }

    fn flush(&mut self) -> Result<bool, Failure> {
        while self.written < self.out.bytes.len() {
            match self.socket.write(&self.out.bytes[self.written..]) {
                Ok(0) => return Err(broken(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        self.out.bytes.clear();
        self.written = 0;
        Ok(true)
    }

    fn read(&mut self, done: &mut Vec<(u64, LineDone)>) -> Result<(), Failure> {
        // With nothing under way one read still tells whether the connection has ended.
        loop {
            match self.socket.read(self.replies.space()) {
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.replies.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(broken(error)),
            }
            while let Some(reply) = self.replies.next().map_err(|Garbage| garbage())? {
                let operation = self.under_way.front_mut().ok_or_else(garbage)?;
                operation.replies.push(reply);
                if operation.replies.len() == operation.expected {
                    self.advance(done);
                }
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
        }
    }

    fn oldest(&self) -> Option<Moment> {
        self.under_way.front().map(|operation| operation.sent)
    }

    fn outside(&self) -> Result<Box<dyn Outside>, Failure> {
        Ok(Box::new(self.socket.try_clone().map_err(broken)?))
    }
}

impl Outside for Socket {
    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn end(&self) {
        self.shutdown();
    }
}

fn broken(error: io::Error) -> Failure {
    Failure::unanswered(
        Error::unavailable(format!("the connection to the server broke: {error}"))
            .with_source(error),
    )
}

fn garbage() -> Failure {
    broken(io::Error::new(
        io::ErrorKind::InvalidData,
        "what came is no reply to what was asked",
    ))
}
