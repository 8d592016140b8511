//! When the leases of a client are due, and which locks the store watches for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::holding::Holding;
use crate::name::LockId;
use crate::store::Scope;

/// Timers stand still while the machine is suspended and deadlines do not: look at the clock this often.
const TICK: Duration = Duration::from_secs(1);
/// A lease of which there is news (someone has touched its lock, its connection was lost) is renewed at once; and for the next
/// news no sooner than this part of the TTL later. However often a store tells, and however often it closes the connection,
/// renewals are four times as many as without, and whoever wants to extend the lease has his turn.
const CALM_PART: u32 = 12;

#[derive(Default)]
pub(super) struct Schedule {
    pub(super) due: BTreeSet<(Moment, u64)>,
    pub(super) leases: BTreeMap<u64, Kept>,
    /// Those that were renewed, by their locks: the store tells when such a lock is touched.
    watched: HashMap<LockId, Watched>,
    pub(super) last_id: u64,
    /// When the task wakes by itself; `None`: it waits to be woken.
    pub(super) wakes_at: Option<Moment>,
    pub(super) started: bool,
    /// Something was added since the task last looked.
    pub(super) active: bool,
}

/// A lease that the keeper is in charge of.
pub(super) struct Kept {
    pub(super) due: Moment,
    pub(super) holding: Arc<Holding>,
    /// It is due as early as this since there was news of it.
    is_hurried: bool,
    /// Not to be renewed for news before this.
    calm_until: Option<Moment>,
}

impl Kept {
    pub(super) fn new(due: Moment, holding: Arc<Holding>) -> Self {
        Self {
            due,
            holding,
            is_hurried: false,
            calm_until: None,
        }
    }

    /// When to renew it for news that came at `now`.
    fn calm(&self, now: Moment) -> Moment {
        self.calm_until.map_or(now, |calm| calm.max(now))
    }
}

/// A lease whose lock the store watches.
struct Watched {
    id: u64,
    /// When to renew the lease, since its lock was touched after the last renewal was sent.
    touched: Option<Moment>,
}

impl Schedule {
    /// There is news of the lease of number `id`: renews it at once, or as soon as it may be, if that is earlier than it is due.
    pub(super) fn hurry(&mut self, id: u64, now: Moment) -> bool {
        let Some(kept) = self.leases.get_mut(&id) else {
            return false;
        };
        let at = kept.calm(now);
        if at >= kept.due || !kept.holding.is_worth_hurrying() {
            return false;
        }
        self.due.remove(&(kept.due, id));
        kept.due = at;
        kept.is_hurried = true;
        self.due.insert((at, id))
    }

    fn watched(&mut self, id: u64, lock: &LockId) -> Option<&mut Watched> {
        let watched = self.watched.get_mut(lock);
        watched.filter(|watched| watched.id == id)
    }

    /// The lock of the lease of number `id` was touched; whether the lease is to be renewed earlier for that.
    fn touched(&mut self, id: u64, lock: &LockId, now: Moment) -> bool {
        let at = self.leases.get(&id).map(|kept| kept.calm(now));
        if let Some(watched) = self.watched(id, lock) {
            watched.touched = at;
        }
        self.hurry(id, now)
    }

    /// There is news of every lease on a lock in `scope`; whether one is due earlier than it was.
    pub(super) fn hurry_all(&mut self, now: Moment, scope: &Scope) -> bool {
        let leases = self.leases.iter();
        let within = leases.filter(|(_, kept)| scope.holds(&kept.holding.claim.lock));
        let ids: Vec<u64> = within.map(|(id, _)| *id).collect();
        ids.into_iter().filter(|id| self.hurry(*id, now)).count() > 0
    }

    /// Someone has touched `lock`; whether a lease is to be renewed earlier for that.
    pub(super) fn on_touched(&mut self, lock: &LockId, now: Moment) -> bool {
        let id = self.watched.get(lock).map(|watched| watched.id);
        id.is_some_and(|id| self.touched(id, lock, now))
    }

    /// Someone has touched every lock in `scope`.
    pub(super) fn on_flushed(&mut self, scope: &Scope, now: Moment) -> bool {
        let leases = self.leases.iter();
        let all: Vec<_> = leases.map(|(id, it)| (*id, it.holding.clone())).collect();
        let touched = all.iter();
        let touched = touched.filter(|(_, holding)| scope.holds(&holding.claim.lock));
        let touched = touched.filter(|(id, holding)| self.touched(*id, &holding.claim.lock, now));
        touched.count() > 0
    }

    /// A renewal of the lease of number `id` is about to be sent: the store tells when its lock is touched after that.
    pub(super) fn on_renewing(&mut self, id: u64, holding: &Holding, now: Moment, term: Duration) {
        let lock = &holding.claim.lock;
        let watched = self.watched(id, lock);
        let is_watched = watched.is_some();
        let is_touched = watched.is_some_and(|watched| watched.touched.take().is_some());
        let Some(kept) = self.leases.get_mut(&id) else {
            return;
        };
        if std::mem::take(&mut kept.is_hurried) || is_touched {
            kept.calm_until = Some(now + term / CALM_PART);
        }
        if !is_watched {
            let watched = Watched { id, touched: None };
            self.watched.insert(lock.clone(), watched);
        }
    }

    /// When to renew a lease because its lock was touched since its last renewal was sent.
    pub(super) fn touched_at(&mut self, id: u64, lock: &LockId) -> Option<Moment> {
        self.watched(id, lock)?.touched
    }

    /// The lease of number `id` has ended: its lock is not watched any more.
    pub(super) fn unwatch(&mut self, id: u64, lock: &LockId) {
        // Short leases come and go without a renewal, and pay nothing for this.
        if !self.watched.is_empty() && self.watched(id, lock).is_some() {
            self.watched.remove(lock);
        }
    }

    /// Takes out the leases that are due by `until`, each with whether its lock was touched. None of them is due again before
    /// it is rescheduled.
    pub(super) fn take_due(&mut self, until: Moment) -> Vec<(u64, Arc<Holding>, bool)> {
        let mut taken = Vec::new();
        while let Some(&(due, id)) = self.due.first() {
            if due > until {
                break;
            }
            self.due.pop_first();
            if let Some(kept) = self.leases.get(&id) {
                let holding = kept.holding.clone();
                let touched = self.touched_at(id, &holding.claim.lock);
                taken.push((id, holding, touched.is_some_and(|at| at <= until)));
            }
        }
        taken
    }

    /// How long to sleep; `None`: until woken.
    pub(super) fn plan(&mut self, now: Moment) -> Option<Duration> {
        let active = std::mem::take(&mut self.active) || !self.leases.is_empty();
        let sleep = active.then(|| {
            let due = self.due.first().map_or(TICK, |(due, _)| due.since(now));
            due.min(TICK)
        });
        self.wakes_at = sleep.map(|sleep| now + sleep);
        sleep
    }
}

#[cfg(test)]
mod tests;
