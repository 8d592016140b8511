//! Operations of one command: looking at a lock, and extending one lease.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::{Exchange, Step, by_text, no_script, refused};
use crate::clock::Moment;
use crate::name::LockId;
use crate::store::redis::config::Config;
use crate::store::redis::confirming::nothing_written;
use crate::store::redis::failure;
use crate::store::redis::keys::{Keys, Prefix};
use crate::store::redis::tracking::Arming;
use crate::store::redis::wire::{self, Answer, By, Inspected, Packed};
use crate::store::{Failure, Ownership, Renewal};

/// Extending one lease.
pub(in crate::store::redis) struct RenewingOne<'a> {
    key: String,
    slot: u16,
    renewal: &'a Renewal,
    /// Replicas have to have what is renewed.
    is_to_be_confirmed: bool,
    by: By,
}

impl<'a> RenewingOne<'a> {
    pub(in crate::store::redis) fn new(config: &Config, renewal: &'a Renewal) -> Self {
        let prefix = config.prefix();
        let key = prefix.lock_key(&renewal.claim.lock);
        Self {
            is_to_be_confirmed: config.replicas() > 0,
            slot: prefix.slot(&key),
            key,
            renewal,
            by: By::Hash,
        }
    }
}

impl Exchange for RenewingOne<'_> {
    type Output = Ownership;

    fn slot(&self) -> u16 {
        self.slot
    }

    fn sets(&self) -> Option<Duration> {
        Some(self.renewal.ttl)
    }

    fn is_lease(ownership: &Ownership) -> bool {
        ownership.is_mine()
    }

    fn request(&self, out: &mut Packed) {
        let one = std::iter::once((self.key.as_str(), self.renewal));
        wire::renew(out, self.by, Arming::Off, one);
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Ownership> {
        match replies.first().map(wire::renewed) {
            // The connection may have written nothing yet.
            Some(Answer::Ok(Ownership::MineForLonger)) if self.is_to_be_confirmed => {
                Step::Done(Err(nothing_written()))
            }
            Some(Answer::Ok(ownership)) => Step::Done(Ok(ownership)),
            Some(Answer::NoScript) => by_text(&mut self.by),
            Some(Answer::Err(error)) => refused(error),
            None => refused(no_script()),
        }
    }
}

/// Looking at one lock.
pub(in crate::store::redis) struct Inspecting(Keys);

impl Inspecting {
    pub(in crate::store::redis) fn new(prefix: &Prefix, lock: &LockId) -> Self {
        Self(Keys::new(prefix, lock))
    }
}

impl Exchange for Inspecting {
    type Output = Option<Inspected>;

    fn slot(&self) -> u16 {
        self.0.slot
    }

    fn request(&self, out: &mut Packed) {
        wire::inspect(out, std::iter::once(&self.0));
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Self::Output> {
        Step::Done(wire::inspected(replies).map_err(Failure::answered))
    }
}

/// One command that looks at a key: in a cluster each finds the node that has its key, also while the slot is on its way.
pub(in crate::store::redis) struct Looking<'a> {
    command: &'static str,
    key: &'a str,
    slot: u16,
}

impl<'a> Looking<'a> {
    /// At the key of a lock whose keys are `of`.
    pub(in crate::store::redis) fn at(command: &'static str, key: &'a str, of: &Keys) -> Self {
        let slot = of.slot;
        Self { command, key, slot }
    }
}

impl Exchange for Looking<'_> {
    type Output = Value;

    fn slot(&self) -> u16 {
        self.slot
    }

    fn request(&self, out: &mut Packed) {
        out.words(&[self.command, self.key]);
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Value> {
        match replies.first() {
            Some(Value::ServerError(error)) => refused(failure::from_server(error)),
            Some(reply) => Step::Done(Ok(reply.clone())),
            None => refused(failure::unexpected("inspect", replies)),
        }
    }
}

/// Looking who holds a lock.
pub(in crate::store::redis) struct LookingForHolder(Keys);

impl LookingForHolder {
    pub(in crate::store::redis) fn new(prefix: &Prefix, lock: &LockId) -> Self {
        Self(Keys::new(prefix, lock))
    }
}

impl Exchange for LookingForHolder {
    type Output = Option<Arc<[u8]>>;

    fn slot(&self) -> u16 {
        self.0.slot
    }

    fn request(&self, out: &mut Packed) {
        wire::holder(out, &self.0);
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Self::Output> {
        Step::Done(wire::held_by(replies).map_err(Failure::answered))
    }
}
