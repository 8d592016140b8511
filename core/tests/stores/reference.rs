//! What every store does, as one plain model: who holds a name and until when, and who waits for it, in which order.
//!
//! Time is a number. It stands still but for a pause after a step that leaves a lease which ends at once.

use std::collections::BTreeSet;

use super::steps::{By, Step};
use super::vocabulary::{
    Asker, Effect, Id, Millis, Mode, NAMES, Outcome, Owned, PAUSE, Rules, SHORT,
};

/// How long a name is kept for whoever it was handed to.
const CLAIM_WINDOW: Millis = 2_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) id: Id,
    pub(super) until: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    /// Its number among all that ever came.
    place: u64,
    id: Id,
}

#[derive(Clone, Debug, Default)]
struct Lock {
    holders: Vec<Holder>,
    /// By place.
    queue: Vec<Waiter>,
}

#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) rules: Rules,
    pub(super) askers: Vec<Asker>,
    pub(super) now: Millis,
    pub(super) effect: Effect,
    locks: [Lock; NAMES.len()],
    /// Where each asker was told that it is in the queue.
    places: Vec<Option<u64>>,
    arrivals: u64,
    /// Clients whose processes have ended.
    gone: BTreeSet<usize>,
    /// Clients that found a name held.
    met: BTreeSet<(usize, usize)>,
}

impl Reference {
    pub(super) fn new(rules: Rules, askers: Vec<Asker>) -> Self {
        Self {
            rules,
            now: 0,
            effect: Effect::default(),
            locks: Default::default(),
            places: vec![None; askers.len()],
            askers,
            arrivals: 0,
            gone: BTreeSet::new(),
            met: BTreeSet::new(),
        }
    }

    pub(super) fn apply(&mut self, step: &Step) {
        self.effect = Effect::default();
        self.effect.outcome = match *step {
            Step::Ask(id, by) => self.ask(id, by),
            Step::Release(id) => Outcome::Owned(self.release(id)),
            Step::Keep(id, ttl) => Outcome::Owned(self.keep(id, ttl)),
            Step::Renew(id, ttl, may_shorten) => Outcome::Owned(self.renew(id, ttl, may_shorten)),
            Step::ReleaseByHand(id) => Outcome::Owned(self.end(self.askers[id].name, &[id])),
            Step::Force(name) => {
                let met: Vec<Id> = self.holders(name).iter().map(|holder| holder.id).collect();
                if !met.is_empty() {
                    self.end(name, &met);
                }
                Outcome::Forced(met)
            }
            Step::Leave(client) => {
                self.gone.insert(client);
                Outcome::Nothing
            }
        };
        let ends_at_once = |holder: &Holder| holder.until <= self.now + SHORT;
        if self
            .locks
            .iter()
            .any(|lock| lock.holders.iter().any(ends_at_once))
        {
            self.effect.pauses = true;
            self.now += PAUSE;
            for lock in &mut self.locks {
                lock.holders.retain(|holder| holder.until > self.now);
            }
        }
    }

    fn ask(&mut self, id: Id, by: By) -> Outcome {
        let Asker {
            client,
            name,
            mode,
            ttl,
        } = self.askers[id];
        let is_new_here = !self.met.contains(&(client, name));
        if by == By::Take && mode == Mode::Alone && is_new_here && !self.rules.takes_see_the_queue()
        {
            if self.holders(name).is_empty() {
                return self.acquired(id, false);
            }
            self.met.insert((client, name));
            return Outcome::Held;
        }
        if let Some(holder) = self.holding(id) {
            let until = self.now + ttl;
            let before = holder.until;
            if until >= before || by == By::Claim || self.rules.claims_set_the_time() {
                self.set(id, until);
                self.effect.is_sooner = until < before;
            }
            self.leave(id);
            self.effect.admitted.push(id);
            self.places[id] = None;
            return Outcome::Acquired { lost_place: false };
        }
        let named = if by.names_place() {
            self.places[id]
        } else {
            None
        };
        let lost_place =
            self.rules.tells_of_lost_places() && named.is_some() && !self.is_waiting(id);
        if by.queues() && !self.is_waiting(id) {
            let place = named.unwrap_or_else(|| {
                self.arrivals += 1;
                self.arrivals
            });
            self.places[id] = Some(place);
            let queue = &mut self.locks[name].queue;
            queue.push(Waiter { place, id });
            queue.sort_by_key(|waiter| waiter.place);
        }
        self.hand_over(name, Some(id));
        if self.effect.admitted.contains(&id) {
            self.places[id] = None;
            return Outcome::Acquired { lost_place };
        }
        if !by.queues() && self.locks[name].queue.is_empty() && self.admits(name, mode) {
            return self.acquired(id, false);
        }
        self.met.insert((client, name));
        if !by.queues() {
            return Outcome::Held;
        }
        let queue = &self.locks[name].queue;
        let alive = queue
            .iter()
            .filter(|waiter| self.is_alive(waiter.id))
            .count();
        let mut before = queue.iter().take_while(|waiter| waiter.id != id);
        Outcome::Waits {
            is_next: if queue[0].id == id {
                Some(true)
            } else if before.any(|waiter| self.is_alive(waiter.id)) {
                Some(false)
            } else {
                None
            },
            left: self.watched(name) - self.now,
            waiters: alive as u64..=queue.len() as u64,
            lost_place,
        }
    }

    fn acquired(&mut self, id: Id, lost_place: bool) -> Outcome {
        self.admit(id, self.now + self.askers[id].ttl);
        Outcome::Acquired { lost_place }
    }

    /// Gives the name to the first waiters while they may have it.
    fn hand_over(&mut self, name: usize, asking: Option<Id>) {
        while let Some(&Waiter { id, .. }) = self.locks[name].queue.first() {
            if !self.admits(name, self.askers[id].mode) {
                break;
            }
            self.locks[name].queue.remove(0);
            if asking == Some(id) {
                self.admit(id, self.now + self.askers[id].ttl);
            } else if self.is_alive(id) {
                self.admit(id, self.now + CLAIM_WINDOW);
            }
        }
    }

    fn admit(&mut self, id: Id, until: Millis) {
        self.locks[self.askers[id].name]
            .holders
            .push(Holder { id, until });
        self.effect.admitted.push(id);
    }

    /// Whether one that asks so may have the name beside those who hold it.
    fn admits(&self, name: usize, mode: Mode) -> bool {
        let holders = self.holders(name);
        let is_shared = holders
            .iter()
            .all(|holder| self.askers[holder.id].mode != Mode::Alone);
        match mode {
            Mode::Alone => holders.is_empty(),
            Mode::Shared => is_shared,
            Mode::Permits(most) => is_shared && holders.len() < most as usize,
        }
    }

    /// Gives back what this one holds, or has it leave the queue.
    fn release(&mut self, id: Id) -> Owned {
        if self.holding(id).is_none() {
            self.leave(id);
        }
        self.places[id] = None;
        self.end(self.askers[id].name, &[id])
    }

    /// These do not hold the name any more.
    fn end(&mut self, name: usize, ids: &[Id]) -> Owned {
        let holders = &mut self.locks[name].holders;
        let before = holders.len();
        holders.retain(|holder| !ids.contains(&holder.id));
        let owned = match (holders.len() < before, holders.is_empty()) {
            (true, _) => Owned::Mine,
            (false, true) => Owned::Nobodys,
            (false, false) => Owned::Others,
        };
        self.hand_over(name, None);
        owned
    }

    /// Keeps what this one holds for so long.
    fn keep(&mut self, id: Id, ttl: Millis) -> Owned {
        if self.holding(id).is_some() {
            self.set(id, self.now + ttl);
            return Owned::Mine;
        }
        match self.holders(self.askers[id].name) {
            [] => Owned::Nobodys,
            _ => Owned::Others,
        }
    }

    fn renew(&mut self, id: Id, ttl: Millis, may_shorten: bool) -> Owned {
        let Asker { name, mode, .. } = self.askers[id];
        let until = self.now + ttl;
        if let Some(holder) = self.holding(id) {
            if until < holder.until && !may_shorten {
                return Owned::MineForLonger;
            }
            self.effect.is_sooner = until < holder.until;
            self.set(id, until);
            return Owned::Mine;
        }
        let is_held_alone = |holder: &Holder| self.askers[holder.id].mode == Mode::Alone;
        match self.holders(name) {
            [] => Owned::Nobodys,
            // That others share the name is no reason why this one does not.
            holders if mode != Mode::Alone && !holders.iter().any(is_held_alone) => Owned::Nobodys,
            _ => Owned::Others,
        }
    }

    fn set(&mut self, id: Id, until: Millis) {
        for holder in &mut self.locks[self.askers[id].name].holders {
            if holder.id == id {
                holder.until = until;
            }
        }
    }

    fn leave(&mut self, id: Id) {
        self.locks[self.askers[id].name]
            .queue
            .retain(|waiter| waiter.id != id);
    }
}

impl Reference {
    /// Who holds a name.
    pub(super) fn holders(&self, name: usize) -> &[Holder] {
        &self.locks[name].holders
    }

    /// Who waits for a name, in order.
    pub(super) fn waiters(&self, name: usize) -> impl Iterator<Item = Id> {
        self.locks[name].queue.iter().map(|waiter| waiter.id)
    }

    pub(super) fn holding(&self, id: Id) -> Option<&Holder> {
        let holders = self.holders(self.askers[id].name);
        holders.iter().find(|holder| holder.id == id)
    }

    pub(super) fn is_waiting(&self, id: Id) -> bool {
        self.waiters(self.askers[id].name)
            .any(|waiter| waiter == id)
    }

    /// Whether this one was told a place in the queue, and has not got the name since by asking.
    pub(super) fn has_place(&self, id: Id) -> bool {
        self.places[id].is_some()
    }

    pub(super) fn is_alive(&self, id: Id) -> bool {
        self.is_there(self.askers[id].client)
    }

    pub(super) fn is_there(&self, client: usize) -> bool {
        !self.gone.contains(&client)
    }

    /// When there is room for the next in line, if nobody gives anything back.
    pub(super) fn watched(&self, name: usize) -> Millis {
        let Some(&Waiter { id, .. }) = self.locks[name].queue.first() else {
            return self.now;
        };
        let mode = self.askers[id].mode;
        if self.admits(name, mode) {
            return self.now;
        }
        let mut ends: Vec<Millis> = self
            .holders(name)
            .iter()
            .map(|holder| holder.until)
            .collect();
        ends.sort_unstable();
        match mode {
            Mode::Permits(most) if self.holders(name).len() >= most as usize => {
                ends[ends.len() - most as usize]
            }
            // Room is there when the last has ended: of those who share, or the one alone.
            _ => ends[ends.len() - 1],
        }
    }
}
