//! Operations as exchanges of requests and replies, with no I/O: every kind of connection carries
//! the same.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::connect::Server;
use super::keys::{Keys, Prefix};
use super::wire::{self, Answer, By, Packed, Took, Waited};
use crate::clock::Moment;
use crate::error::Error;
use crate::name::LockId;
use crate::store::{Ask, Asked, Failure, Ownership, Queued, Queueing, Releaser};

/// What to do after replies were read.
pub(super) enum Step<T> {
    /// Send the next request.
    Again,
    Done(Result<T, Failure>),
}

/// One operation: requests to send, until the replies make a result.
pub(super) trait Exchange {
    type Output;

    /// Packs the next request.
    fn request(&self, out: &mut Packed);

    /// Reads the replies to the last request, which was sent at `sent`.
    fn on_replies(&mut self, replies: &[Value], sent: Moment) -> Step<Self::Output>;

    /// When the token counter was seeded by this exchange.
    fn seeded(&self) -> Option<Moment> {
        None
    }
}

/// Asking for a name.
pub(super) struct Asking {
    server: Arc<Server>,
    lock: LockId,
    keys: Keys,
    owner: Arc<str>,
    ttl: Duration,
    client_id: Arc<str>,
    take: bool,
    queue: Option<Queueing>,
    by: By,
    seeded: Option<Moment>,
}

impl Asking {
    /// `seeded`: whether the connection's last `wait` is recent enough for a take.
    pub(super) fn new(
        server: &Arc<Server>,
        lock: &LockId,
        owner: &Arc<str>,
        ttl: Duration,
        client_id: &Arc<str>,
        ask: Ask,
        seeded: bool,
    ) -> Self {
        Self {
            server: server.clone(),
            lock: lock.clone(),
            keys: Keys::new(server.config.prefix(), lock),
            owner: owner.clone(),
            ttl,
            client_id: client_id.clone(),
            take: seeded && ask == Ask::Take && !server.contended.is_noted(lock),
            queue: match ask {
                Ask::Take | Ask::Retake => None,
                Ask::Queue(queueing) => Some(queueing),
            },
            by: By::Hash,
            seeded: None,
        }
    }
}

impl Exchange for Asking {
    type Output = Asked;

    fn request(&self, out: &mut Packed) {
        if self.take {
            wire::take(out, &self.keys, &self.owner, self.ttl);
        } else {
            wire::wait(
                out,
                self.by,
                &self.keys,
                &self.owner,
                self.ttl,
                &self.client_id,
                self.queue,
            );
        }
    }

    fn on_replies(&mut self, replies: &[Value], sent: Moment) -> Step<Asked> {
        if self.take {
            return match wire::took(replies) {
                Ok(Took::Acquired(token)) => Step::Done(Ok(Asked::acquired(token, sent))),
                Ok(Took::Held) => {
                    self.server.contended.note(&self.lock);
                    Step::Done(Ok(Asked::Held(Queued::default())))
                }
                Ok(Took::Unseeded) => {
                    self.take = false;
                    Step::Again
                }
                Err(error) => refused(error),
            };
        }
        match wire::waited(replies) {
            Answer::Ok(Waited::More) => Step::Again,
            Answer::Ok(Waited::Acquired(token, lost_place)) => {
                self.seeded = Some(sent);
                Step::Done(Ok(Asked::Acquired {
                    token,
                    sent,
                    lost_place,
                }))
            }
            Answer::Ok(Waited::Held(queued)) => {
                self.server.contended.note(&self.lock);
                // Who only looks again writes nothing.
                let looked = self.queue.is_some_and(|queue| queue.place.is_some());
                if !looked || queued.lost_place {
                    self.seeded = Some(sent);
                }
                Step::Done(Ok(Asked::Held(queued)))
            }
            Answer::NoScript => by_text(&mut self.by),
            Answer::Err(error) => refused(error),
        }
    }

    fn seeded(&self) -> Option<Moment> {
        self.seeded
    }
}

/// Giving a name back, or a place in the queue.
pub(super) struct Releasing {
    keys: Keys,
    releaser: Releaser,
    client_id: Arc<str>,
    by: By,
    first: Option<Ownership>,
}

impl Releasing {
    pub(super) fn new(
        prefix: &Prefix,
        lock: &LockId,
        releaser: Releaser,
        client_id: &Arc<str>,
    ) -> Self {
        Self {
            keys: Keys::new(prefix, lock),
            releaser,
            client_id: client_id.clone(),
            by: By::Hash,
            first: None,
        }
    }
}

impl Exchange for Releasing {
    type Output = Ownership;

    fn request(&self, out: &mut Packed) {
        wire::release(out, self.by, &self.keys, &self.releaser, &self.client_id);
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Ownership> {
        match wire::released(replies) {
            Answer::Ok((ownership, more)) => {
                // Only the first answer tells whose it was; further ones pass over dead waiters.
                let first = *self.first.get_or_insert(ownership);
                if more {
                    Step::Again
                } else {
                    Step::Done(Ok(first))
                }
            }
            Answer::NoScript => by_text(&mut self.by),
            Answer::Err(error) => refused(error),
        }
    }
}

fn by_text<T>(by: &mut By) -> Step<T> {
    match by {
        By::Hash => {
            *by = By::Text;
            Step::Again
        }
        By::Text => refused(no_script()),
    }
}

fn refused<T>(error: Error) -> Step<T> {
    Step::Done(Err(Failure::answered(error)))
}

/// The server does not know a script by its text: it is no server of ours, or it was flushed in between.
pub(super) fn no_script() -> Error {
    Error::unavailable("the server does not know a script that was just sent to it")
}
