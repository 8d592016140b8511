//! Operations as exchanges of requests and replies, with no I/O: every kind of connection carries
//! the same.

mod single;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

pub(super) use self::single::{Inspecting, Looking, LookingForHolders, RenewingOne};
use super::contended::Contended;
use super::keys::{Keys, Prefix};
use super::tracking::{Arming, Tracking};
use super::wire::{self, Answer, By, Packed, Took, Waited};
use crate::claim::Claim;
use crate::clock::Moment;
use crate::error::Error;
use crate::store::{Ask, Asked, Failure, Ownership, Queued, Queueing, Releaser};

/// Whoever waits where no news comes from, since the lock's slot is on its way there, looks again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What to do after replies were read.
pub(super) enum Step<T> {
    /// Send the next request.
    Again,
    Done(Result<T, Failure>),
}

/// How long an exchange may go on with request after request: a server that always has one more to be sent would have it go on
/// for ever.
pub(super) struct Rounds {
    limit: Duration,
    /// Most are over with the first request, and need no clock.
    until: Option<Moment>,
}

impl Rounds {
    /// They end when the command time-out has passed since the first was answered.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, until: None }
    }

    /// Whether there may be another.
    pub(super) fn another(&mut self, address: impl Display) -> Result<(), Failure> {
        let now = Moment::now();
        if now < *self.until.get_or_insert(now + self.limit) {
            return Ok(());
        }
        // What it has carried out by now nobody knows.
        Err(Failure::unanswered(Error::unavailable(format!(
            "the server at {address} has answered for {:?}, and still wants to be asked again; is it a Redis or a Valkey?",
            self.limit
        ))))
    }
}

/// A connection, as far as it matters to an exchange.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// What names the client's inbox in queues there.
    pub(super) inbox_id: &'a Arc<str>,
    /// A `wait` in the exchange's slot was answered there lately.
    pub(super) is_seeded: bool,
    /// What watches keys, where the connection can.
    pub(super) tracking: Option<&'a Arc<Tracking>>,
    /// It brings news of the exchange's slot.
    pub(super) is_heard: bool,
}

/// One operation: requests to send, until the replies make a result.
pub(super) trait Exchange {
    type Output;

    /// The slot of its keys in a cluster.
    fn slot(&self) -> u16;

    /// It begins, or begins anew, on a connection.
    fn on_connection(&mut self, _at: At<'_>) {}

    /// Whether news has to reach the connection before it is sent.
    fn needs_inbox(&self) -> bool {
        false
    }

    /// Packs the next request.
    fn request(&self, out: &mut Packed);

    /// The TTL of the lease that the next request may set, which is to be on replicas.
    fn sets(&self) -> Option<Duration> {
        None
    }

    /// Whether the result is a lease in the store.
    fn is_lease(_output: &Self::Output) -> bool {
        false
    }

    /// Reads the replies to the last request, which was sent at `sent`.
    fn on_replies(&mut self, replies: &[Value], sent: Moment) -> Step<Self::Output>;

    /// When the token counter was seeded by this exchange.
    fn seeded(&self) -> Option<Moment> {
        None
    }
}

/// Asking for a name.
pub(super) struct Asking {
    contended: Arc<Contended>,
    claim: Arc<Claim>,
    keys: Keys,
    ttl: Duration,
    inbox_id: Option<Arc<str>>,
    /// It is to be a take where the connection's counter is seeded.
    may_take: bool,
    take: bool,
    /// News of the lock comes by the connection.
    is_heard: bool,
    queue: Option<Queueing>,
    by: By,
    seeded: Option<Moment>,
    tracking: Option<Arc<Tracking>>,
    watching: Option<(Queued, Arming)>,
}

impl Asking {
    pub(super) fn new(
        prefix: &Prefix,
        contended: &Arc<Contended>,
        claim: &Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> Self {
        Self {
            contended: contended.clone(),
            claim: claim.clone(),
            keys: Keys::new(prefix, &claim.lock),
            ttl,
            inbox_id: None,
            may_take: ask == Ask::Take
                && claim.limit.is_exclusive()
                && !contended.is_noted(&claim.lock),
            take: false,
            is_heard: true,
            queue: match ask {
                Ask::Take | Ask::Retake => None,
                Ask::Queue(queueing) => Some(queueing),
            },
            by: By::Hash,
            seeded: None,
            tracking: None,
            watching: None,
        }
    }

    /// A holder of another program tells nobody when it gives the lock back: has the server tell.
    fn on_held(&mut self, queued: Queued) -> Step<Asked> {
        let arming = match &self.tracking {
            Some(tracking) if queued.head && queued.is_holder_foreign => tracking.arming(),
            _ => Arming::Off,
        };
        if arming == Arming::Off {
            return Step::Done(Ok(Asked::Held(queued)));
        }
        self.watching = Some((queued, arming));
        Step::Again
    }

    /// The lock is watched from now on; but it may have been given back before.
    fn on_watched(&mut self, (queued, arming): (Queued, Arming), replies: &[Value]) -> Step<Asked> {
        let is_held = self.tracking.as_ref().map(|tracking| {
            let others = tracking.answered(arming, replies);
            others.last().is_none_or(|held| *held != Value::Int(0))
        });
        match is_held {
            Some(false) => {
                if let Some(queue) = &mut self.queue {
                    queue.place = Some(queued.place);
                }
                Step::Again
            }
            // What is refused here says nothing against the place in the queue.
            _ => Step::Done(Ok(Asked::Held(queued))),
        }
    }
}

impl Exchange for Asking {
    type Output = Asked;

    fn slot(&self) -> u16 {
        self.keys.slot
    }

    fn on_connection(&mut self, at: At<'_>) {
        self.inbox_id = Some(at.inbox_id.clone());
        self.is_heard = at.is_heard;
        self.take = at.is_seeded && self.may_take;
        // Whoever is the next behind a holder of another program has the lock watched, unless it looks again soon anyway.
        let is_of_use = self.queue.is_some() && at.is_heard;
        self.tracking = at.tracking.filter(|_| is_of_use).cloned();
        self.watching = None;
    }

    fn needs_inbox(&self) -> bool {
        self.queue.is_some()
    }

    fn sets(&self) -> Option<Duration> {
        self.watching.is_none().then_some(self.ttl)
    }

    fn is_lease(asked: &Asked) -> bool {
        matches!(asked, Asked::Acquired { .. })
    }

    fn request(&self, out: &mut Packed) {
        if let Some((_, arming)) = self.watching {
            arming.begin(out);
            arming.before_each(out);
            wire::is_held(out, self.keys.lock());
        } else if self.take {
            wire::take(out, &self.keys, &self.claim.owner, self.ttl);
        } else {
            wire::wait(
                out,
                self.by,
                &self.keys,
                &self.claim,
                self.ttl,
                self.inbox_id.as_deref().unwrap_or_default(),
                self.queue,
            );
        }
    }

    fn on_replies(&mut self, replies: &[Value], sent: Moment) -> Step<Asked> {
        if let Some(watching) = self.watching.take() {
            return self.on_watched(watching, replies);
        }
        if self.take {
            return match wire::took(replies) {
                Ok(Took::Acquired(token)) => Step::Done(Ok(Asked::acquired(token, sent))),
                Ok(Took::Held) => {
                    self.contended.note(&self.claim.lock);
                    Step::Done(Ok(Asked::Held(Queued::default())))
                }
                Ok(Took::Unseeded) => {
                    (self.take, self.may_take) = (false, false);
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
            Answer::Ok(Waited::Held(mut queued)) => {
                queued.look_again = (!self.is_heard).then_some(LOOK_AGAIN);
                self.contended.note(&self.claim.lock);
                // Who only looks again writes nothing.
                let looked = self.queue.is_some_and(|queue| queue.place.is_some());
                if !looked || queued.lost_place {
                    self.seeded = Some(sent);
                }
                self.on_held(queued)
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
    inbox_id: Option<Arc<str>>,
    by: By,
    first: Option<Ownership>,
}

impl Releasing {
    pub(super) fn new(prefix: &Prefix, releaser: Releaser) -> Self {
        Self {
            keys: Keys::new(prefix, releaser.lock()),
            releaser,
            inbox_id: None,
            by: By::Hash,
            first: None,
        }
    }

    /// By the script's text, for a server that may not know the script.
    pub(super) fn by_text(mut self) -> Self {
        self.by = By::Text;
        self
    }
}

impl Exchange for Releasing {
    type Output = Ownership;

    fn slot(&self) -> u16 {
        self.keys.slot
    }

    fn on_connection(&mut self, at: At<'_>) {
        self.inbox_id = Some(at.inbox_id.clone());
    }

    fn request(&self, out: &mut Packed) {
        let inbox_id = self.inbox_id.as_deref().unwrap_or_default();
        wire::release(out, self.by, &self.keys, &self.releaser, inbox_id);
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
            // The first answer is not told, so whoever asks again has to know that there may have been one.
            Answer::Err(error) if self.first.is_some() => {
                Step::Done(Err(Failure::unanswered(error)))
            }
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
