//! Operations of one command: looking at a lock, and extending one lease.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::{Exchange, Step, by_text, no_script, refused};
use crate::clock::Moment;
use crate::error::Error;
use crate::lock_info::LockInfo;
use crate::name::LockId;
use crate::store::redis::config::Config;
use crate::store::redis::confirming::nothing_written;
use crate::store::redis::failure;
use crate::store::redis::keys::{Keys, Prefix};
use crate::store::redis::tracking::Arming;
use crate::store::redis::wire::{self, Answer, By, HeldBy, Packed, RenewalKeys, Sharing};
use crate::store::{Ownership, Renewal};

/// Extending one lease.
pub(in crate::store::redis) struct RenewingOne<'a> {
    keys: RenewalKeys,
    slot: u16,
    renewal: &'a Renewal,
    /// Replicas have to have what is renewed.
    is_to_be_confirmed: bool,
    by: By,
}

impl<'a> RenewingOne<'a> {
    pub(in crate::store::redis) fn new(config: &Config, renewal: &'a Renewal) -> Self {
        let prefix = config.prefix();
        let keys = RenewalKeys::new(prefix, renewal);
        Self {
            is_to_be_confirmed: config.replicas() > 0,
            slot: prefix.slot(&keys.lock),
            keys,
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
        let one = std::iter::once((&self.keys, self.renewal));
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
pub(in crate::store::redis) struct Inspecting<'a> {
    lock: &'a LockId,
    keys: Keys,
    /// It is shared, and who shares it is asked for together with the rest: by that key, after those who are known.
    holders: Option<(String, Sharing)>,
}

impl<'a> Inspecting<'a> {
    pub(in crate::store::redis) fn new(prefix: &Prefix, lock: &'a LockId) -> Self {
        Self {
            lock,
            keys: Keys::new(prefix, lock),
            holders: None,
        }
    }

    fn read(&mut self, replies: &[Value]) -> Result<Step<Option<LockInfo>>, Error> {
        let (first, others) = replies.split_at(replies.len().min(3));
        let Some(found) = wire::inspected(first)? else {
            return Ok(Step::Done(Ok(None)));
        };
        if !found.is_shared() {
            return Ok(Step::Done(Ok(Some(found.of(self.lock)))));
        }
        let Some((_, known)) = &mut self.holders else {
            self.holders = Some((self.keys.holders(), Sharing::default()));
            return Ok(Step::Again);
        };
        let (time, others) = others
            .split_first()
            .ok_or_else(|| failure::unexpected("inspect", replies))?;
        known.extend(wire::shared_by(time, others)?);
        if !known.is_whole() {
            return Ok(Step::Again);
        }
        let sharing = std::mem::take(known);
        Ok(Step::Done(Ok(found.shared_by(self.lock, sharing))))
    }
}

impl Exchange for Inspecting<'_> {
    type Output = Option<LockInfo>;

    fn slot(&self) -> u16 {
        self.keys.slot
    }

    fn request(&self, out: &mut Packed) {
        wire::inspect(out, std::iter::once(&self.keys));
        if let Some((holders, known)) = &self.holders {
            wire::sharing(out, std::iter::once(holders.as_str()), known.next());
        }
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Self::Output> {
        self.read(replies).unwrap_or_else(refused)
    }
}

/// One command that looks at a key: in a cluster each finds the node that has its key, also while the slot is on its way.
pub(in crate::store::redis) struct Looking<'a> {
    words: &'a [&'a str],
    slot: u16,
}

impl<'a> Looking<'a> {
    /// At a lock whose keys are `of`.
    pub(in crate::store::redis) fn at(words: &'a [&'a str], of: &Keys) -> Self {
        let slot = of.slot;
        Self { words, slot }
    }
}

impl Exchange for Looking<'_> {
    type Output = Value;

    fn slot(&self) -> u16 {
        self.slot
    }

    fn request(&self, out: &mut Packed) {
        out.words(self.words);
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
pub(in crate::store::redis) struct LookingForHolders {
    keys: Keys,
    /// Many share it, who are asked for: those that are known.
    met: Option<Vec<Arc<[u8]>>>,
}

impl LookingForHolders {
    pub(in crate::store::redis) fn new(prefix: &Prefix, lock: &LockId) -> Self {
        Self {
            keys: Keys::new(prefix, lock),
            met: None,
        }
    }
}

impl Exchange for LookingForHolders {
    type Output = Vec<Arc<[u8]>>;

    fn slot(&self) -> u16 {
        self.keys.slot
    }

    fn request(&self, out: &mut Packed) {
        match &self.met {
            Some(met) => wire::holders(out, &self.keys, met.len()),
            None => wire::holder(out, &self.keys),
        }
    }

    fn on_replies(&mut self, replies: &[Value], _sent: Moment) -> Step<Self::Output> {
        if let Some(met) = &mut self.met {
            return match wire::met(met, replies) {
                Ok(true) => Step::Again,
                Ok(false) => Step::Done(Ok(std::mem::take(met))),
                Err(error) => refused(error),
            };
        }
        match wire::held_by(replies) {
            Ok(HeldBy::Nobody) => Step::Done(Ok(Vec::new())),
            Ok(HeldBy::One(owner)) => Step::Done(Ok(vec![owner])),
            Ok(HeldBy::Many) => {
                self.met = Some(Vec::new());
                Step::Again
            }
            Err(error) => refused(error),
        }
    }
}
