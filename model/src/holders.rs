//! H, the holders of a shared name: what every script that meets the marker does with them.
//!
//! H is a sorted set: member = owner, score = the end of its time in ms of the server's clock. In Lua, `now` in ms, with `holder` what
//! K is (false where it is free) and `n` = |H|:
//!
//! ```text
//! meet:                                     -- first of all, when holder == '||shared'
//!   drop H's members with score <= now      -- ZRANGE H -inf now BYSCORE and ZREM: O(log n + dropped), each once
//!   n = ZCARD H                             -- O(1); counted on in the script
//!   if n == 0: holder = false               -- H was lost, or what it had has ended
//!
//! admits(limit):
//!   not holder  or  holder == '||shared' and limit ~= 1 and (limit == 0 or n < limit)
//!
//! admit(owner, limit, ms):                  -- the token was counted before
//!   if limit == 1: SET K owner PX ms; holder = owner; return
//!   if holder ~= '||shared': DEL H; SET K '||shared' PX ms; holder = '||shared'; n = 0
//!   ZADD H now+ms owner; n = n + 1
//!
//! follow:                                   -- after H has changed, once in a script
//!   last = score of ZRANGE H -1 -1
//!   PEXPIRE K last-now; PEXPIRE H last-now
//!
//! watch(limit):                             -- what the head of the queue has to watch
//!   if holder ~= '||shared': PTTL K         -- the owner's time
//!   if admits(limit): 0                     -- it is to ask at once
//!   score of ZRANGE H n-limit n-limit, less now
//! ```
//!
//! What the head watches is the end after which fewer than `limit` are left if nobody releases: the latest for a writer (limit 1), the
//! earliest for a permit where exactly that many hold the name. Each of these costs O(log n) however many there are, and no script
//! reads H as a whole.
//!
//! *Renew*, and a claim, write `PEXPIRE H` before `ZADD H`: a server that is out of memory refuses a script whose first write needs
//! some, and who holds a name keeps it. Both leave K alone where another has more.
//!
//! H is void where K is not the marker: K was deleted or evicted, or somebody else has set it. Nobody need notice that: the
//! next one that shares the name deletes H before it sets the marker. Those who had it are told at their next renewal.

use arrayvec::ArrayVec;

use crate::config::{Bug, Config, EXCLUSIVE, SHARED};
use crate::server::{Around, Server};
use crate::wire::{Owner, Owners};

/// H: in the order in which their times end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holders(ArrayVec<Holder, 6>);

/// A member of H and its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Holder {
    /// Ticks until its time ends.
    left: u8,
    owner: Owner,
}

impl Holders {
    /// `ZADD`.
    fn put(&mut self, owner: Owner, left: u8) {
        self.remove(owner);
        let holder = Holder { left, owner };
        let at = self.0.iter().position(|other| *other > holder);
        self.0.insert(at.unwrap_or(self.0.len()), holder);
    }

    /// `ZREM`.
    fn remove(&mut self, owner: Owner) {
        self.0.retain(|holder| holder.owner != owner);
    }

    /// `ZSCORE`, of one whose time has not ended.
    fn left(&self, owner: Owner) -> Option<u8> {
        let mine = |holder: &&Holder| holder.owner == owner && holder.left > 0;
        self.0.iter().find(mine).map(|holder| holder.left)
    }

    /// The latest end.
    fn latest(&self) -> Option<u8> {
        self.0.last().map(|holder| holder.left)
    }

    /// Whose time has not ended.
    pub(crate) fn owners(&self) -> Owners {
        let live = self.0.iter().filter(|holder| holder.left > 0);
        live.map(|holder| holder.owner).collect()
    }

    /// `DEL`.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A tick passes.
    pub(crate) fn tick(&mut self) {
        for holder in &mut self.0 {
            holder.left = holder.left.saturating_sub(1);
        }
    }

    /// `ZREMRANGEBYSCORE`: those whose time has ended.
    pub(crate) fn drop_ended(&mut self) {
        self.0.retain(|holder| holder.left > 0);
    }
}

/// Whether one with this limit may hold a shared name beside so many.
pub(crate) fn fits(limit: u8, holding: usize) -> bool {
    limit == SHARED || limit != EXCLUSIVE && holding < usize::from(limit)
}

impl Server {
    /// Whether K is the marker.
    pub(crate) fn is_shared(&self) -> bool {
        self.lock.is_some_and(|lock| lock.owner == Owner::SHARED)
    }

    /// Whether the owner has the name, alone or with others.
    pub(crate) fn is_held_by(&self, owner: Owner) -> bool {
        self.is_owned_by(owner) || self.is_shared() && self.holders.left(owner).is_some()
    }

    /// Who has it.
    pub(crate) fn holding(&self) -> Owners {
        if self.is_shared() {
            self.holders.owners()
        } else {
            self.lock.iter().map(|lock| lock.owner).collect()
        }
    }

    /// Ticks until the owner's time ends.
    pub(crate) fn left(&self, owner: Owner) -> Option<u8> {
        if self.is_shared() {
            self.holders.left(owner)
        } else {
            self.lock.and_then(|lock| lock.left)
        }
    }

    /// Whether K's time is the latest end in H, where that is to be so.
    pub(crate) fn has_right_time(&self) -> bool {
        let left = self.lock.and_then(|lock| lock.left);
        !self.is_shared() || left == self.holders.latest()
    }

    /// First of all in every script that meets the marker: H empty means that the name is free.
    pub(crate) fn meet_holders(&mut self) {
        if self.is_shared() && self.holders.latest().is_none() {
            self.lock = None;
        }
    }

    /// Whether one with this limit may have the name now, if nobody is before it.
    pub(crate) fn admits(&self, limit: u8) -> bool {
        self.is_free() || self.is_shared() && fits(limit, self.holders.0.len())
    }

    /// It gets it, which was found possible.
    pub(crate) fn admit(&mut self, owner: Owner, left: u8, config: &Config) {
        if config.limit(owner) == EXCLUSIVE {
            self.set(owner, Some(left));
            return;
        }
        if !self.is_shared() {
            // Whatever H held is void.
            let stays = config.has(Bug::OldHoldersStay) || config.has(Bug::HoldersSurviveForce);
            if !stays {
                self.holders.clear();
            }
        }
        self.holders.put(owner, left);
        if config.has(Bug::MarkerShortened) {
            self.set(Owner::SHARED, Some(left));
        } else {
            self.follow();
        }
    }

    /// The owner has it, and gets another time.
    pub(crate) fn set_time(&mut self, owner: Owner, left: u8, config: &Config) {
        if !self.is_shared() {
            self.set(owner, Some(left));
            return;
        }
        self.holders.put(owner, left);
        if !config.has(Bug::MarkerNotRenewed) {
            self.follow();
        }
    }

    /// The owners do not have it any more. Returns whether one of them had.
    pub(crate) fn end(&mut self, owners: Owners, config: &Config) -> bool {
        let ended = self.holding().iter().any(|owner| owners.contains(owner));
        if !ended {
            return false;
        }
        if !self.is_shared() {
            self.lock = None;
            return true;
        }
        for owner in owners.iter() {
            self.holders.remove(owner);
        }
        if !config.has(Bug::MarkerOutlives) || self.holders.latest().is_none() {
            self.follow();
        }
        true
    }

    /// The time of K follows the latest end; nobody in H is nobody in K.
    fn follow(&mut self) {
        if let Some(left) = self.holders.latest().filter(|left| *left > 0) {
            self.set(Owner::SHARED, Some(left));
        } else {
            self.lock = None;
        }
    }

    /// What the head of the queue has to watch, whose limit this is: the end after which there is room for it, if nobody
    /// releases.
    pub(crate) fn watch(&self, limit: u8, around: &Around<'_>) -> Option<u8> {
        let config = around.config;
        if !self.is_shared() || config.has_any(&[Bug::PermitWatchesLatest, Bug::DeadPermitStays]) {
            return self.lock.and_then(|lock| lock.left);
        }
        if self.admits(limit) {
            let told = !config.has_any(&[
                Bug::HeadLeavesQuietly,
                Bug::PrunedQuietly,
                Bug::RunEndsAtAsker,
            ]);
            return if told { Some(0) } else { self.holders.latest() };
        }
        let at = self.holders.0.len() - usize::from(limit);
        Some(self.holders.0[at].left)
    }
}
