//! The server: its keys, and the commands and scripts that work on them, each in one step.
//!
//! What scripts do where names may be shared; `meet`, `admits`, `admit`, `follow` and `watch` are in `holders.rs`, `hand_over` and
//! `tell_head` in `hand_over.rs`. For an exclusive request on a name that nobody shares these are the commands of before.
//!
//! ```text
//! take:       MULTI; SET K owner NX PX ttl; INCR F; EXEC         -- exclusive requests only
//!   the marker is a value like any other: not set, and the caller goes on with wait, or gives up
//!
//! wait(owner, ttl, inbox, place, queue, cuts, limit):            -- shared requests begin with it, without queueing
//!   member = '1|inbox|limit|owner'
//!   if holder == owner: claim, as before
//!   if holder == '||shared': meet
//!   if holder == '||shared' and H has owner:                     -- claim, of a grant or of a take whose answer was lost
//!     left = its score - now
//!     if left <= ttl or cuts: ZADD H now+ttl owner; follow       -- never shortens, but for a look that may cut the window
//!     token = next_token(); ZREM Q member
//!     if it was cut and Q is not empty: tell_head
//!     return ACQUIRED token
//!   if admits(limit) and Q is empty: token = next_token(); admit(owner, limit, ttl); follow; return ACQUIRED token
//!   known = Q has member; lost = place was named and not known
//!   if holder and (known or holder == '||shared'): prune         -- a newcomer looks at the first few: a dead writer may be all
//!                                                                -- that is before it
//!   if queue and not known: ZADD Q (place or arrival) member
//!   run = hand_over(member)
//!   if prune has dropped the head and nothing was popped: tell_head
//!   if the asking one was admitted: return ACQUIRED its token
//!   if run.more: return MORE
//!   if Q is empty and admits(limit): take it, as above           -- all before it were dead, or came in with room to spare
//!   return HELD watch(limit of the head, or its own), place, head?, waiters
//!
//! renew(owner, ttl, cuts):
//!   if K == owner: as before
//!   if K == '||shared': left = score of owner in H, less now     -- it does not drop others
//!     if none, or left <= 0: return 0                            -- never enters again
//!     if left > ttl and not cuts: return 2
//!     PEXPIRE H, ZADD H now+ttl owner; follow; return 1          -- H and K change with each renewal: nobody has them tracked
//!   otherwise 0 or -1, as before
//!
//! release(owners, inbox, limit):                                 -- one owner; by force: those that were met, up to 1,000 a script
//!   if K == owner and Q does not exist: DEL K; return 1          -- as before
//!   if holder == '||shared': meet
//!   watched = watch(limit of the head)
//!   if K == owner: mine = true; holder = false
//!   if holder == '||shared':
//!     mine = ZREM H owners; n = n - mine
//!     if n == 0: holder = false, else follow                     -- down, too: K is not to outlive them
//!   if inbox: ZREM Q member
//!   run = hand_over(nil)
//!   if nothing was popped and there is a head:
//!     if it is another than before, or watch(its limit) < watched: tell_head
//!   if not holder and not run.more: DEL K
//!   return {mine and 1 or (holder and -1 or 0), run.more}
//! ```
//!
//! - A forced release names the owners that it met, as one of an exclusive lock does: sent again, it ends nobody who came
//!   later. `release(name, owner)` names one.
//! - A holder that leaves may bring what the head has to watch nearer (it had the latest end, and the one that now has it may be
//!   dead), so the head is told. Where the time stays or comes later it is not: it looks too early once.
//! - An entry in the queue that a late *wait* has left behind, of an acquire that is over, holds up who is behind it while others
//!   share the name, until the second release has come: that one is not to wait for long.
//!
//! After `core/src/store/redis/scripts/*.lua` and `wire::take`. Left out: the queue's own TTL of 90 s, which is
//! longer than anything here.

use arrayvec::ArrayVec;

use crate::config::{Bug, Config, EXCLUSIVE};
use crate::hand_over::Run;
use crate::holders::Holders;
use crate::wire::{Command, Kind, Message, Owner, Owners};

/// Counts below this were not seeded from the clock, and are no tokens.
pub(crate) const SEEDED: u8 = 16;

/// The keys of one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// K: the holder, or the marker.
    pub(crate) lock: Option<Lock>,
    /// H: who shares it.
    pub(crate) holders: Holders,
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
            Kind::Set => self.held(owner, false, around),
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
    ///
    /// Every script that meets the marker first drops from H what has ended; here that happens as it ends.
    pub(crate) fn tick(&mut self, config: &Config) {
        self.holders.tick();
        if !config.has(Bug::DeadPermitStays) {
            self.holders.drop_ended();
        }
        if let Some(lock) = &mut self.lock
            && let Some(left) = &mut lock.left
        {
            *left -= 1;
            if *left == 0 {
                self.lock = None;
            }
        }
    }

    pub(crate) fn set(&mut self, owner: Owner, left: Option<u8>) {
        self.lock = Some(Lock { owner, left });
    }

    /// Another application's `SET NX`.
    pub(crate) fn take_foreign(&mut self) {
        self.set(Owner::FOREIGN, None);
    }

    /// Whether K is the owner's.
    pub(crate) fn is_owned_by(&self, owner: Owner) -> bool {
        self.lock.is_some_and(|lock| lock.owner == owner)
    }

    fn held(&self, owner: Owner, lost: bool, around: &Around<'_>) -> Message {
        let head = self.queue.first().copied();
        let limit = around.config.limit(head.unwrap_or(owner));
        Message::Held {
            owner,
            pttl: self.watch(limit, around),
            head: head == Some(owner),
            lost,
        }
    }

    /// Whether nobody has it: K is gone, or its handing over is to go on.
    pub(crate) fn is_free(&self) -> bool {
        self.lock.is_none() || self.is_owned_by(Owner::HANDING)
    }

    // ---- wire::take

    fn take(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let free = self.lock.is_none();
        if free {
            self.set(owner, Some(around.config.ttl));
        }
        self.fence += 1;
        if !free {
            self.held(owner, false, around)
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

    pub(crate) fn next_token(&mut self, around: &Around<'_>) -> u8 {
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
        let config = around.config;
        let limit = config.limit(owner);
        self.meet_holders();
        if self.is_held_by(owner) {
            return self.claim(owner, cuts, around);
        }
        let overtakes = limit != EXCLUSIVE && self.is_shared() && config.has(Bug::ReaderOvertakes);
        if self.admits(limit) && (self.queue.is_empty() || overtakes) {
            return self.acquire(owner, placed, around);
        }
        let known = self.queue.contains(&owner);
        let lost = placed && !known;
        // Who only looks again writes nothing.
        if !known {
            self.fence = self.count(around);
        }
        let head = self.queue.first().copied();
        if !self.is_free() && (known || self.is_shared()) {
            self.prune(owner, around);
        }
        let pruned = self.queue.first().copied() != head;
        if queue && !known {
            self.enqueue(owner, placed, around.arrivals);
        }
        let quietly = pruned && config.has(Bug::PrunedQuietly);
        let run = if quietly {
            Run::default()
        } else {
            self.hand_over(Some(owner), around)
        };
        if pruned && !run.popped && !quietly {
            self.tell_head(around);
        }
        if let Some(token) = run.token {
            return Message::Acquired(owner, token, lost);
        }
        if run.more {
            return Message::More(owner);
        }
        if self.queue.is_empty() && self.admits(limit) {
            return self.acquire(owner, lost, around);
        }
        self.held(owner, lost, around)
    }

    /// It is the owner's: a claim of what was handed to it, or a wait repeated. It never shortens what there is, but for
    /// a look that may cut the claim window.
    fn claim(&mut self, owner: Owner, cuts: bool, around: &mut Around<'_>) -> Message {
        let config = around.config;
        let before = self.left(owner);
        let cuts = cuts || config.has(Bug::ClaimShortens);
        if (cuts || before < Some(config.ttl)) && !config.has(Bug::ClaimKeepsExpiry) {
            self.set_time(owner, config.ttl, config);
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
        self.admit(owner, around.config.ttl, around.config);
        Message::Acquired(owner, token, lost)
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
        let config = around.config;
        let recreates = self.lock.is_none() && config.has(Bug::RenewRecreates);
        let reenters = self.is_shared() && config.has(Bug::RenewalReenters);
        let mine = self.is_held_by(owner) || recreates || reenters;
        let longer = mine && self.left(owner) > Some(ttl);
        let keeps = longer && !cuts && !config.has(Bug::RenewalShortens);
        if mine && !keeps {
            self.set_time(owner, ttl, config);
        }
        (mine, keeps)
    }

    // ---- release.lua

    fn release(&mut self, owner: Owner, around: &mut Around<'_>) -> Message {
        let more = self.give_back(Owners::from_iter([owner]), Some(owner), around);
        Message::Released(owner, more)
    }

    /// A release by force of the leases of `met`, or by hand.
    pub(crate) fn force(&mut self, met: Owners, around: &mut Around<'_>) {
        let anyone = around.config.has(Bug::ForceAnyone);
        let met = if anyone { self.holding() } else { met };
        self.give_back(met, None, around);
    }

    /// Ends what of `owners` holds the name, and has a waiter leave; whoever may come in then does. Returns whether dead
    /// waiters remain.
    fn give_back(
        &mut self,
        owners: Owners,
        leaves: Option<Owner>,
        around: &mut Around<'_>,
    ) -> bool {
        let config = around.config;
        self.meet_holders();
        let (head, watched) = self.watched(around);
        self.queue.retain(|waiter| Some(*waiter) != leaves);
        let all = leaves.is_none() && self.holding().without(owners).is_empty();
        let ended = if all && self.is_shared() && config.has(Bug::HoldersSurviveForce) {
            self.lock = None;
            true
        } else {
            self.end(owners, config)
        };
        let quietly = !ended && !self.is_free() && config.has(Bug::HeadLeavesQuietly);
        let run = if quietly {
            Run::default()
        } else {
            self.hand_over(None, around)
        };
        if !run.popped {
            let (next, nearer) = self.watched(around);
            let earlier = nearer < watched && !config.has(Bug::EarlierEndNotTold);
            if next != head || earlier {
                self.tell_head(around);
            }
        }
        if self.is_free() && !run.more {
            self.lock = None;
        }
        run.more
    }
}
