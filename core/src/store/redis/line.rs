//! A connection on somebody's event loop: it never blocks, and is told when it can be read or written.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::A_BATCH;
use super::config::Address;
use super::conn::{Arrivals, Completed, Conn};
use super::connect::Server;
use super::exchange::{Asking, At, Exchange, Releasing, Rounds, Step};
use super::failure;
use super::link::Link;
use super::socket::Socket;
use crate::claim::Claim;
use crate::clock::Moment;
use crate::platform::BorrowedDescriptor;
use crate::store::{Ask, Failure, LineDone, LineStore, Releaser};

pub(super) struct Line {
    conn: Conn<LineRequest>,
    socket: Arc<Socket>,
    arrived: Arrivals<LineRequest>,
    address: Arc<Address>,
    server: Arc<Server>,
    inbox_id: Arc<str>,
    link: Weak<Link>,
}

/// What a request is for.
pub(super) struct LineRequest {
    id: u64,
    exchange: Either,
    rounds: Rounds,
}

impl LineRequest {
    fn failed(&self, failure: Failure) -> LineDone {
        match self.exchange {
            Either::Asking(_) => LineDone::Asked(Err(failure)),
            Either::Releasing(_) => LineDone::Released(Err(failure)),
        }
    }
}

enum Either {
    Asking(Asking),
    Releasing(Releasing),
}

impl Line {
    pub(super) fn new(
        (conn, socket): (Conn<LineRequest>, Arc<Socket>),
        address: Arc<Address>,
        server: Arc<Server>,
        inbox_id: Arc<str>,
        link: Weak<Link>,
    ) -> Self {
        Self {
            conn,
            socket,
            arrived: Arrivals::default(),
            address,
            server,
            inbox_id,
            link,
        }
    }

    fn request(&self, id: u64, exchange: Either) -> LineRequest {
        let rounds = Rounds::new(self.server.health.silence());
        LineRequest {
            id,
            exchange,
            rounds,
        }
    }

    fn at(&self, is_seeded: bool) -> At<'_> {
        At {
            inbox_id: &self.inbox_id,
            is_seeded,
            tracking: None,
            is_heard: true,
        }
    }

    fn begin(&mut self, operation: LineRequest, limit: Option<Duration>) {
        self.conn.begin(operation, limit, |operation, out| {
            match &operation.exchange {
                Either::Asking(asking) => asking.request(out),
                Either::Releasing(releasing) => releasing.request(out),
            }
        });
        if self.conn.unwritten() >= A_BATCH {
            self.flush();
        }
    }

    /// An operation has all its replies: it is done, or goes on with another request.
    fn advance(&mut self, answered: Completed<LineRequest>, done: &mut Vec<(u64, LineDone)>) {
        let Completed {
            waiter: mut operation,
            sent,
            replies,
            ..
        } = answered;
        let finished = match &mut operation.exchange {
            Either::Asking(asking) => match asking.on_replies(&replies, sent) {
                Step::Done(result) => {
                    if let Some(at) = asking.seeded() {
                        self.conn.set_seeded(asking.slot(), at);
                    }
                    Some(LineDone::Asked(result))
                }
                Step::Again => None,
            },
            Either::Releasing(releasing) => match releasing.on_replies(&replies, sent) {
                Step::Done(result) => Some(LineDone::Released(result)),
                Step::Again => None,
            },
        };
        let finished = finished.or_else(|| {
            let more = operation.rounds.another(&self.address);
            more.err().map(|failure| operation.failed(failure))
        });
        match finished {
            Some(finished) => done.push((operation.id, finished)),
            None => self.begin(operation, None),
        }
    }
}

impl LineStore for Line {
    fn take(&mut self, id: u64, claim: &Arc<Claim>, ttl: Duration, limit: Option<Duration>) {
        let (prefix, contended) = (self.server.config.prefix(), &self.server.contended);
        let mut asking = Asking::new(prefix, contended, claim, ttl, Ask::Take);
        let is_seeded = self.conn.is_seeded(asking.slot());
        asking.on_connection(self.at(is_seeded));
        let exchange = Either::Asking(asking);
        let limit = limit.map(|limit| limit.min(self.server.health.patience()));
        let request = self.request(id, exchange);
        self.begin(request, limit);
    }

    fn release(&mut self, id: u64, claim: &Arc<Claim>) {
        let prefix = self.server.config.prefix();
        let releaser = Releaser::Own(claim.clone());
        let mut releasing = Releasing::new(prefix, releaser);
        releasing.on_connection(self.at(false));
        let exchange = Either::Releasing(releasing);
        let request = self.request(id, exchange);
        self.begin(request, None);
    }

    fn is_unwritten(&self) -> bool {
        self.conn.wants_write()
    }

    fn flush(&mut self) -> bool {
        // A failure shows again when it is read, behind what the server said before; and that is due at once.
        self.conn.flush(&mut &*self.socket).unwrap_or(true)
    }

    fn read(&mut self, done: &mut Vec<(u64, LineDone)>) -> Result<(), Failure> {
        let read = self.conn.read(&mut &*self.socket, &mut self.arrived);
        let mut arrived = std::mem::take(&mut self.arrived);
        // What was told to be unanswered goes on elsewhere, and asks for nothing more here.
        for answered in arrived.answers.drain(..).filter(|answered| !answered.told) {
            self.advance(answered, done);
        }
        // Nothing is subscribed to on a line.
        arrived.pushes.clear();
        self.arrived = arrived;
        match read {
            Err(broken) => Err(failure::from_broken(&self.address, broken)),
            Ok(_) => match self.conn.misled_by() {
                Some(words) => Err(failure::misled(&self.address, words)),
                None => Ok(()),
            },
        }
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.conn.next_timeout()
    }

    fn look_for_silence(&mut self, done: &mut Vec<(u64, LineDone)>) -> Result<(), Failure> {
        let patience = self.server.health.patience();
        let now = Moment::now();
        let mut longest = None;
        for (operation, waited) in self.conn.overdue(now) {
            let failure = failure::unanswered(&self.address, waited);
            let ended = operation.failed(failure);
            done.push((operation.id, ended));
            longest = longest.max(Some(waited));
        }
        // An acquire whose own wait is short says nothing about the connection.
        let is_dead = self.conn.is_dead(now);
        let silent = longest.filter(|waited| is_dead || *waited >= patience);
        let Some(waited) = silent.or(is_dead.then_some(self.server.health.silence())) else {
            return Ok(());
        };
        if let Some(link) = self.link.upgrade() {
            link.doubt(waited);
        }
        Err(failure::unanswered(&self.address, waited))
    }

    fn descriptor(&self) -> BorrowedDescriptor<'_> {
        self.socket.descriptor()
    }
}
