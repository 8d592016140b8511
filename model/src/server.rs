//! The server: its keys, and the commands and scripts that work on them, each in one step.
//!
//! Line by line after `core/src/store/redis/scripts/*.lua` and `wire::take`. Left out: the queue's own TTL of 90 s, which is
//! longer than anything here, and the limit of 100 dead waiters a script.

use arrayvec::ArrayVec;

use crate::config::{Bug, Config};
use crate::wire::{Command, Kind, Message, Owner};

/// Counts below this were not seeded from the clock, and are no tokens.
pub(crate) const SEEDED: u8 = 16;

/// The keys of one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// K: the holder.
    pub(crate) lock: Option<Lock>,
    /// Q: who waits, in order.
    pub(crate) queue: ArrayVec<Owner, 6>,
    /// F: the token counter; 0 is a missing key.
    pub(crate) fence: u8,
}

/// K: a string with a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    /// Its value.
    pub(crate) owner: Owner,
    /// Ticks until it expires; `None`: never.
    pub(crate) left: Option<u8>,
}

/// Scores of the queue: owners in the order of their arrival. Kept beside the server, since clients name their scores
/// again when the server has lost them.
pub(crate) type Arrivals = ArrayVec<Owner, 12>;

/// The server's clock in µs, as far as it matters: nobody takes a million locks a second, so it is past every count
/// there ever was, on any server.
pub(crate) type Clock = u8;

/// What a script needs beside the keys.
pub(crate) struct Around<'a> {
    /// What is checked.
    pub(crate) config: &'a Config,
    /// `TIME`.
    pub(crate) clock: &'a mut Clock,
    /// Scores of the queue.
    pub(crate) arrivals: &'a mut Arrivals,
    /// `PUBLISH`: whether anyone heard it.
    pub(crate) publish: &'a mut dyn FnMut(Owner, Message) -> bool,
}

enum HandOver {
    Asking,
    Granted,
    Empty,
}

impl Server {
    /// Carries out one command.
    pub(crate) fn run(&mut self, command: Command, around: &mut Around<'_>) -> Message {
        let owner = command.owner;
        let answer = match command.kind {
            Kind::Take => self.take(owner, around),
            Kind::Wait { queue, placed } => self.wait(owner, queue, placed, around),
            Kind::Renew { ttl } => self.renew(owner, ttl, around),
            Kind::Release => self.release(owner, around),
            Kind::Set if self.lock.is_none() => {
                self.set(owner, Some(around.config.ttl));
                Message::Unseeded(owner)
            }
            Kind::Set => self.held(owner),
            Kind::Count => {
                self.fence += 1;
                Message::Acquired(owner, self.fence)
            }
            Kind::Leave => {
                self.queue.retain(|waiter| *waiter != owner);
                Message::Released(owner)
            }
        };
        *around.clock = (*around.clock).max(self.fence);
        answer
    }

    /// A tick passes.
    pub(crate) fn tick(&mut self) {
        if let Some(lock) = &mut self.lock
            && let Some(left) = &mut lock.left
        {
            *left -= 1;
            if *left == 0 {
                self.lock = None;
            }
        }
    }

    fn set(&mut self, owner: Owner, left: Option<u8>) {
        self.lock = Some(Lock { owner, left });
    }

    /// Another application's `SET NX`.
    pub(crate) fn take_foreign(&mut self) {
        self.set(Owner::FOREIGN, None);
    }

    /// Whether K is the owner's.
    pub(crate) fn is_held_by(&self, owner: Owner) -> bool {
        self.lock.is_some_and(|lock| lock.owner == owner)
    }

    fn held(&self, owner: Owner) -> Message {
        Message::Held {
            owner,
            pttl: self.lock.and_then(|lock| lock.left),
            head: self.queue.first() == Some(&owner),
        }
    }

    // ---- wire::take

    fn take(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let free = self.lock.is_none();
        if free {
            self.set(owner, Some(around.config.ttl));
        }
        self.fence += 1;
        if !free {
            self.held(owner)
        } else if self.fence < SEEDED && !around.config.has(Bug::LowCountIsToken) {
            Message::Unseeded(owner)
        } else {
            Message::Acquired(owner, self.fence)
        }
    }

    // ---- wait.lua

    fn count(&self, around: &Around<'_>) -> u8 {
        if around.config.has(Bug::NoSeed) {
            self.fence
        } else {
            self.fence.max(*around.clock)
        }
    }

    fn next_token(&mut self, around: &Around<'_>) -> u8 {
        self.fence = self.count(around) + 1;
        self.fence
    }

    fn wait(
        &mut self,
        owner: Owner,
        queue: bool,
        placed: bool,
        around: &mut Around<'_>,
    ) -> Message {
        let ttl = Some(around.config.ttl);
        if self.is_held_by(owner) {
            if !around.config.has(Bug::ClaimKeepsExpiry) {
                self.set(owner, ttl);
            }
            let token = self.next_token(around);
            self.queue.retain(|waiter| *waiter != owner);
            if around.config.ttl < around.config.window
                && !around.config.has(Bug::ShortClaimNotTold)
            {
                self.tell_head(around);
            }
            return Message::Acquired(owner, token);
        }
        if self.lock.is_none() && self.queue.is_empty() {
            let token = self.next_token(around);
            self.set(owner, ttl);
            return Message::Acquired(owner, token);
        }
        self.fence = self.count(around);
        if queue && !self.queue.contains(&owner) {
            self.enqueue(owner, placed, around.arrivals);
        }
        if self.lock.is_none() && !matches!(self.hand_over(Some(owner), around), HandOver::Granted)
        {
            let token = self.next_token(around);
            self.set(owner, ttl);
            self.tell_head(around);
            return Message::Acquired(owner, token);
        }
        self.held(owner)
    }

    /// `ZADD`: at its earlier place, or behind all.
    fn enqueue(&mut self, owner: Owner, placed: bool, arrivals: &mut Arrivals) {
        if !placed || !arrivals.contains(&owner) {
            arrivals.retain(|arrived| *arrived != owner);
            arrivals.push(owner);
        }
        let place = |of: Owner| arrivals.iter().position(|arrived| *arrived == of);
        let at = self
            .queue
            .iter()
            .position(|waiter| place(*waiter) > place(owner))
            .unwrap_or(self.queue.len());
        self.queue.insert(at, owner);
    }

    // ---- renew.lua

    fn renew(&mut self, owner: Owner, ttl: u8, around: &Around<'_>) -> Message {
        let again = self.lock.is_none() && around.config.has(Bug::RenewRecreates);
        let mine = self.is_held_by(owner) || again;
        if mine {
            self.set(owner, Some(ttl));
        }
        Message::Renewed(owner, mine)
    }

    // ---- release.lua

    fn release(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let head_left = self.queue.first() == Some(&owner);
        self.queue.retain(|waiter| *waiter != owner);
        if self.lock.is_none() || self.is_held_by(owner) {
            self.give_back(around);
        } else if head_left {
            self.tell_head(around);
        }
        Message::Released(owner)
    }

    /// A release by force.
    pub(crate) fn force(&mut self, around: &mut Around<'_>) {
        self.give_back(around);
    }

    fn give_back(&mut self, around: &mut Around<'_>) {
        if !matches!(self.hand_over(None, around), HandOver::Granted) {
            self.lock = None;
        }
    }

    // ---- hand_over.lua

    fn tell_head(&mut self, around: &mut Around<'_>) {
        if let Some(head) = self.queue.first()
            && !around.config.has(Bug::NextNotTold)
        {
            let pttl = self.lock.and_then(|lock| lock.left);
            (around.publish)(*head, Message::Next(*head, pttl));
        }
    }

    fn hand_over(&mut self, asking: Option<Owner>, around: &mut Around<'_>) -> HandOver {
        while let Some(waiter) = self.queue.pop_at(0) {
            if Some(waiter) == asking {
                return HandOver::Asking;
            }
            let token = self.next_token(around);
            if (around.publish)(waiter, Message::Grant(waiter, token)) {
                self.set(waiter, Some(around.config.window));
                self.tell_head(around);
                return HandOver::Granted;
            }
        }
        HandOver::Empty
    }
}
