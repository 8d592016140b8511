//! The server: its keys, and the commands and scripts that work on them, each in one step.
//!
//! Line by line after `core/src/store/redis/scripts/*.lua` and `wire::take`. Left out: the queue's own TTL of 90 s, which is
//! longer than anything here.

use arrayvec::ArrayVec;

use crate::config::{Bug, Config};
use crate::wire::{Command, Kind, Message, Owner};

/// Counts below this were not seeded from the clock, and are no tokens.
pub(crate) const SEEDED: u8 = 16;

/// A look at a held name asks whether so many waiters, the first, are still there.
const PRUNED: usize = 2;

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
    /// `PUBSUB NUMSUB`: whether anyone would hear it.
    pub(crate) hears: &'a dyn Fn(Owner) -> bool,
}

enum HandOver {
    Asking,
    Granted,
    Empty,
    More,
}

impl Server {
    /// Carries out one command.
    pub(crate) fn run(&mut self, command: Command, around: &mut Around<'_>) -> Message {
        let owner = command.owner;
        let answer = match command.kind {
            Kind::Take => self.take(owner, around),
            Kind::Wait { .. } => self.wait(command, around),
            Kind::Renew { ttl, cuts, late } => {
                let (mine, longer) = self.renew(owner, ttl, cuts, around);
                Message::Renewed {
                    owner,
                    mine,
                    longer,
                    late,
                }
            }
            Kind::Release => self.release(owner, around),
            Kind::Set if self.lock.is_none() => {
                self.set(owner, Some(around.config.ttl));
                Message::Unseeded(owner)
            }
            Kind::Set => self.held(owner, false),
            Kind::Count => {
                self.fence += 1;
                Message::Acquired(owner, self.fence, false)
            }
            Kind::Leave => {
                self.queue.retain(|waiter| *waiter != owner);
                Message::Released(owner, false)
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

    fn held(&self, owner: Owner, lost: bool) -> Message {
        Message::Held {
            owner,
            pttl: self.lock.and_then(|lock| lock.left),
            head: self.queue.first() == Some(&owner),
            lost,
        }
    }

    /// Whether nobody has it: K is gone, or its handing over is to go on.
    fn is_free(&self) -> bool {
        self.lock.is_none() || self.is_held_by(Owner::HANDING)
    }

    // ---- wire::take

    fn take(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let free = self.lock.is_none();
        if free {
            self.set(owner, Some(around.config.ttl));
        }
        self.fence += 1;
        if !free {
            self.held(owner, false)
        } else if self.fence < SEEDED && !around.config.has(Bug::LowCountIsToken) {
            Message::Unseeded(owner)
        } else {
            Message::Acquired(owner, self.fence, false)
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

    fn wait(&mut self, command: Command, around: &mut Around<'_>) -> Message {
        let owner = command.owner;
        let Kind::Wait {
            queue,
            placed,
            cuts,
        } = command.kind
        else {
            unreachable!("{command:?} is no wait")
        };
        if self.is_held_by(owner) {
            return self.claim(owner, cuts, around);
        }
        if self.is_free() && self.queue.is_empty() {
            return self.acquire(owner, placed, around);
        }
        let known = self.queue.contains(&owner);
        let lost = placed && !known;
        // Who only looks again writes nothing.
        if !known {
            self.fence = self.count(around);
        }
        if queue && !known {
            self.enqueue(owner, placed, around.arrivals);
        }
        if self.is_free() {
            match self.hand_over(Some(owner), around) {
                HandOver::Asking | HandOver::Empty => {
                    let acquired = self.acquire(owner, lost, around);
                    self.tell_head(around);
                    return acquired;
                }
                HandOver::More => {
                    self.go_on_handing(around);
                    return Message::More(owner);
                }
                HandOver::Granted => {}
            }
        } else if known {
            self.prune(owner, around);
        }
        self.held(owner, lost)
    }

    /// K is the owner's: a claim of what was handed to it, or a wait repeated. It never shortens what there is, but for
    /// the one claim that may cut the claim window.
    fn claim(&mut self, owner: Owner, cuts: bool, around: &mut Around<'_>) -> Message {
        let config = around.config;
        let before = self.lock.and_then(|lock| lock.left);
        let cuts = cuts || config.has(Bug::ClaimShortens);
        if (cuts || before < Some(config.ttl)) && !config.has(Bug::ClaimKeepsExpiry) {
            self.set(owner, Some(config.ttl));
        }
        let token = self.next_token(around);
        self.queue.retain(|waiter| *waiter != owner);
        let is_cut = cuts && config.ttl < config.window;
        if is_cut && !config.has(Bug::ShortClaimNotTold) {
            self.tell_head(around);
        }
        Message::Acquired(owner, token, false)
    }

    fn acquire(&mut self, owner: Owner, lost: bool, around: &Around<'_>) -> Message {
        let token = self.next_token(around);
        self.set(owner, Some(around.config.ttl));
        Message::Acquired(owner, token, lost)
    }

    /// A look at a held name drops a few waiters whose processes are gone.
    fn prune(&mut self, asking: Owner, around: &mut Around<'_>) {
        if around.config.has(Bug::DeadStay) {
            return;
        }
        let head = self.queue.first().copied();
        let first: Arrivals = self.queue.iter().take(PRUNED).copied().collect();
        let dead = |waiter: &Owner| first.contains(waiter) && !(around.hears)(*waiter);
        self.queue
            .retain(|waiter| *waiter == asking || !dead(waiter));
        if self.queue.first().copied() != head {
            self.tell_head(around);
        }
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

    /// Whether it is the owner's, and whether the server has it for longer.
    fn renew(&mut self, owner: Owner, ttl: u8, cuts: bool, around: &Around<'_>) -> (bool, bool) {
        let again = self.lock.is_none() && around.config.has(Bug::RenewRecreates);
        let mine = self.is_held_by(owner) || again;
        let longer = self.lock.is_some_and(|lock| lock.left > Some(ttl));
        let keeps = longer && !cuts && !around.config.has(Bug::RenewalShortens);
        if mine && !keeps {
            self.set(owner, Some(ttl));
        }
        (mine, mine && keeps)
    }

    // ---- release.lua

    fn release(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let head_left = self.queue.first() == Some(&owner);
        self.queue.retain(|waiter| *waiter != owner);
        let mut more = false;
        if self.is_free() || self.is_held_by(owner) {
            more = self.give_back(around);
        } else if head_left {
            self.tell_head(around);
        }
        Message::Released(owner, more)
    }

    /// A release by force of the lease of `met`, or by hand.
    pub(crate) fn force(&mut self, met: Owner, around: &mut Around<'_>) {
        if self.is_free() || self.is_held_by(met) || around.config.has(Bug::ForceAnyone) {
            self.give_back(around);
        }
    }

    /// Returns whether dead waiters remain.
    fn give_back(&mut self, around: &mut Around<'_>) -> bool {
        match self.hand_over(None, around) {
            HandOver::Granted => false,
            HandOver::Asking | HandOver::Empty => {
                self.lock = None;
                false
            }
            HandOver::More => {
                self.go_on_handing(around);
                true
            }
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
        for _ in 0..around.config.pops {
            let Some(waiter) = self.queue.pop_at(0) else {
                return HandOver::Empty;
            };
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
        if self.queue.is_empty() {
            HandOver::Empty
        } else {
            HandOver::More
        }
    }

    /// Whoever asked is to ask again; until then nobody else gets in.
    fn go_on_handing(&mut self, around: &Around<'_>) {
        if around.config.has(Bug::FreeInBetween) {
            self.lock = None;
        } else {
            self.set(Owner::HANDING, Some(around.config.window));
        }
    }
}
