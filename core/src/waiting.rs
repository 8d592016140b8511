//! The waiting room: which acquires of this client wait, what news came for them, and who watches the clock.
//!
//! Nobody polls. A waiter sleeps until its grant arrives. In case the holder dies, whoever is the next in line looks when the
//! holder's time is up, and one of the others of each name here a little later: the first, and where that one is not polled,
//! the next.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::jitter;
use crate::claim::Claim;
use crate::environment::Hashing;
use crate::name::LockId;
use crate::seeded::{Bug, is_seeded};
use crate::store::{Event, Grant, Queued, Scope};
use crate::sync;

/// The next in line looks this long after the holder's time is up: a server expires a key within its millisecond.
const HEAD_DELAY: Duration = Duration::from_millis(2);
/// The others look up to this much later, so that the next in line is first and they do not come all at once.
const OTHERS_JITTER: Duration = Duration::from_millis(400);
/// However long the holder's time is, someone looks after as many twentieths of a second as there are waiters, and no
/// sooner or later than this. So a lost message is noticed, and a foreign holder, which never tells.
const CHECK_MIN: Duration = Duration::from_secs(3);
const CHECK_MAX: Duration = Duration::from_secs(30);
const CHECKS_PER_SECOND: u64 = 20;
/// A waiter looks so much later than the one before it in its client: whoever has looked by then has looked for all. Of the
/// places, so many count.
const NEXT_LOOKS_LATER: Duration = Duration::from_millis(500);
const PLACES_COUNTED: usize = 16;
/// Others look for the name, but only a waiter itself finds its own place lost. However often others look, the first of a
/// client does so, too, when it was told nothing for this many times as long as nobody has to look; and each one after it so
/// many times later.
const OWN_LOOK: u32 = 2;
const NEXT_OWN_LOOKS_LATER: u32 = 4;
/// However often places in the queue turn out to be lost, all waiters of a name look again no sooner than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many of those that were served are remembered: what is told of them is read together with the answer that served them.
const SERVED: usize = 64;

/// News for a waiter, as bits.
pub(crate) mod news {
    /// The name was handed to the waiter: it is to be claimed, or the lease begins.
    pub(crate) const GRANTED: u8 = 1;
    /// News may have been lost: ask the store again.
    pub(crate) const RECHECK: u8 = 2;
    /// The client is closing.
    pub(crate) const CLOSED: u8 = 4;
    /// The waiter is the next in line, and has the holder's time to watch.
    pub(crate) const NEXT: u8 = 8;
    /// Someone has touched the lock itself, which may be free now: the next in line asks.
    pub(crate) const TOUCHED: u8 = 16;
}

/// One waiter.
pub(crate) struct Waiter {
    claim: Arc<Claim>,
    /// When it was last told where it stands.
    told: Mutex<Option<Instant>>,
    news: AtomicU8,
    /// The lease that came with the last grant.
    grant: Mutex<Option<Grant>>,
    notify: Notify,
}

impl Waiter {
    /// The news since the last call.
    pub(crate) fn take_news(&self) -> u8 {
        self.news.swap(0, Ordering::AcqRel)
    }

    /// The lease that came with the last grant the waiter was told of.
    pub(crate) fn grant(&self) -> Option<Grant> {
        *sync::lock(&self.grant)
    }

    /// Completes when there is news, or the time to look has changed.
    pub(crate) async fn notified(&self) {
        self.notify.notified().await;
    }

    fn tell(&self, news: u8) {
        self.news.fetch_or(news, Ordering::AcqRel);
        self.notify.notify_one();
    }
}

/// All waiters of a client.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    waiters: Mutex<Waiters>,
}

/// A waiter, found by the owner that it claims the lock under.
struct ByOwner(Arc<Waiter>);

impl Borrow<str> for ByOwner {
    fn borrow(&self) -> &str {
        &self.0.claim.owner
    }
}

impl PartialEq for ByOwner {
    fn eq(&self, other: &Self) -> bool {
        self.0.claim.owner == other.0.claim.owner
    }
}

impl Eq for ByOwner {}

impl Hash for ByOwner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.claim.owner.hash(state);
    }
}

#[derive(Default)]
struct Waiters {
    by_owner: HashSet<ByOwner, Hashing>,
    queues: HashMap<LockId, Queue>,
    /// Those that left last, each with a lease.
    served: VecDeque<Arc<Claim>>,
    closed: bool,
}

/// The waiters of this client for one name, in the order of their places.
#[derive(Default)]
struct Queue {
    places: BTreeMap<(u64, Arc<Claim>), Arc<Waiter>>,
    seen: Option<Seen>,
    /// When all were last told to look again.
    told_all: Option<Instant>,
}

/// What was last heard about a name.
struct Seen {
    at: Instant,
    expires_at: Option<Instant>,
    waiters: u64,
    /// The claim of the first of all waiters, if that one is of this client.
    head: Option<Arc<Claim>>,
    /// The holder is of another program: only whoever is told that it is the next has the store watch it.
    is_holder_foreign: bool,
    jitter: Duration,
}

impl Seen {
    fn new(expires_in: Option<Duration>, waiters: u64, head: Option<Arc<Claim>>) -> Self {
        let at = Instant::now();
        Self {
            at,
            expires_at: expires_in.and_then(|left| at.checked_add(left)),
            waiters,
            head,
            is_holder_foreign: false,
            jitter: jitter(OTHERS_JITTER),
        }
    }

    /// How long nobody has to look.
    fn calm(&self) -> Duration {
        let per_second = Duration::from_millis(1000 / CHECKS_PER_SECOND);
        let waiters = u32::try_from(self.waiters).unwrap_or(u32::MAX);
        per_second
            .saturating_mul(waiters)
            .clamp(CHECK_MIN, CHECK_MAX)
    }

    /// When a waiter has to look for its own place that has so many of its client before it.
    fn own_look_at(&self, told: Instant, before: u32) -> Instant {
        told + self.calm() * (OWN_LOOK + NEXT_OWN_LOOKS_LATER * before)
    }

    /// When a waiter has to look that has so many of its client before it.
    fn look_at(&self, waiter: &Waiter, before: u32) -> Instant {
        let latest = self.at + self.calm();
        let is_head = self.head.as_ref() == Some(&waiter.claim);
        let delay = if is_head { HEAD_DELAY } else { self.jitter };
        let look_at = match self.expires_at {
            Some(expires_at) => latest.min(expires_at + delay.max(HEAD_DELAY)),
            None => latest,
        };
        if is_head {
            look_at
        } else {
            look_at + NEXT_LOOKS_LATER * before
        }
    }
}

impl Waiters {
    /// Whoever waits for a lock in `scope` is to ask again.
    fn on_reset(&self, scope: &Scope) {
        let waiters = self.by_owner.iter().map(|it| &it.0);
        for waiter in waiters.filter(|it| scope.holds(&it.claim.lock)) {
            waiter.tell(news::RECHECK);
        }
    }

    /// Wakes whoever is the next in line. Those who are just being told where they stand may be the next by now, and find the
    /// news when they are about to sleep.
    fn on_touched(&self, lock: &LockId) {
        let seen = self.queues.get(lock).and_then(|queue| queue.seen.as_ref());
        let head = seen.and_then(|seen| seen.head.as_ref());
        let waiters = self.by_owner.iter().map(|it| &it.0);
        for waiter in waiters.filter(|it| it.claim.lock == *lock) {
            waiter.news.fetch_or(news::TOUCHED, Ordering::AcqRel);
            if head == Some(&waiter.claim) {
                waiter.notify.notify_one();
            }
        }
    }
}

impl WaitingRoom {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        sync::lock(&self.waiters)
    }

    /// A new waiter, which hears news from now on. `None` when the client is closed.
    pub(crate) fn enter(&self, claim: &Arc<Claim>) -> Option<Arc<Waiter>> {
        let mut room = self.lock();
        if room.closed {
            return None;
        }
        let waiter = Arc::new(Waiter {
            claim: claim.clone(),
            told: Mutex::default(),
            news: AtomicU8::new(0),
            grant: Mutex::default(),
            notify: Notify::new(),
        });
        room.by_owner.insert(ByOwner(waiter.clone()));
        Some(waiter)
    }

    /// Whether someone of this client waits for the name already.
    pub(crate) fn has_queue(&self, lock: &LockId) -> bool {
        let room = self.lock();
        !room.queues.is_empty() && room.queues.contains_key(lock)
    }

    /// A waiter's standing, as it was just told; `before` is its earlier place.
    pub(crate) fn update(&self, waiter: &Arc<Waiter>, before: Option<u64>, queued: &Queued) {
        let mut room = self.lock();
        *sync::lock(&waiter.told) = Some(Instant::now());
        let queue = room.queues.entry(waiter.claim.lock.clone()).or_default();
        if let Some(before) = before
            && before != queued.place
        {
            queue.places.remove(&(before, waiter.claim.clone()));
        }
        queue
            .places
            .insert((queued.place, waiter.claim.clone()), waiter.clone());
        let head = if queued.head {
            Some(waiter.claim.clone())
        } else {
            let known = queue.seen.take().and_then(|seen| seen.head);
            known.filter(|head| *head != waiter.claim)
        };
        queue.seen = Some(Seen {
            is_holder_foreign: queued.is_holder_foreign,
            ..Seen::new(queued.expires_in, queued.waiters, head)
        });
    }

    /// When this waiter has to ask by itself, if nobody of its name and client does before.
    pub(crate) fn look_at(&self, waiter: &Arc<Waiter>) -> Option<Instant> {
        if is_seeded(Bug::NoFallback) {
            return None;
        }
        let room = self.lock();
        let queue = room.queues.get(&waiter.claim.lock)?;
        let before = queue
            .places
            .values()
            .take(PLACES_COUNTED)
            .take_while(|other| !Arc::ptr_eq(other, waiter))
            .count();
        let is_counted = before < PLACES_COUNTED;
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let seen = queue.seen.as_ref()?;
        let look_at = seen.look_at(waiter, before);
        let told = *sync::lock(&waiter.told);
        match told.filter(|_| is_counted) {
            Some(told) => Some(look_at.min(seen.own_look_at(told, before))),
            None => Some(look_at),
        }
    }

    /// The place of `claim` in the queue was lost: whoever else waits for the name here has to ask again, to get its own back.
    pub(crate) fn look_again(&self, claim: &Claim) {
        let mut room = self.lock();
        let Some(queue) = room.queues.get_mut(&claim.lock) else {
            return;
        };
        let now = Instant::now();
        if queue.told_all.is_some_and(|at| now < at + LOOK_AGAIN) {
            return;
        }
        queue.told_all = Some(now);
        for waiter in queue.places.values().filter(|other| *other.claim != *claim) {
            waiter.tell(news::RECHECK);
        }
    }

    /// The waiter is gone. If it watched the clock for its name, the next waiter of this client does. `is_served`: it has
    /// its lease, and nothing that it sent can be carried out any more.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>, place: Option<u64>, is_served: bool) {
        let mut room = self.lock();
        let room = &mut *room;
        room.by_owner.remove(&*waiter.claim.owner);
        if is_served {
            room.served.truncate(SERVED - 1);
            room.served.push_front(waiter.claim.clone());
        }
        let Some(queue) = room.queues.get_mut(&waiter.claim.lock) else {
            return;
        };
        let first = queue
            .places
            .first_key_value()
            .is_some_and(|(_, first)| Arc::ptr_eq(first, waiter));
        if let Some(place) = place {
            queue.places.remove(&(place, waiter.claim.clone()));
        }
        match queue.places.first_key_value() {
            None => {
                room.queues.remove(&waiter.claim.lock);
            }
            Some((_, next)) if first => {
                next.notify.notify_one();
            }
            Some(_) => {}
        }
    }

    /// Passes an event on; `false` when it is a grant for a waiter that is not here and was not served.
    pub(crate) fn on_event(&self, event: &Event) -> bool {
        let mut room = self.lock();
        let room = &mut *room;
        match event {
            Event::Granted { owner, grant, .. } => {
                let Some(ByOwner(waiter)) = room.by_owner.get(owner.as_str()) else {
                    // Its claim was answered, and the lease given back perhaps, before the grant was read.
                    return room.served.iter().any(|it| *it.owner == **owner);
                };
                *sync::lock(&waiter.grant) = *grant;
                waiter.tell(news::GRANTED);
            }
            Event::Next { owner, expires_in } => {
                let Some(ByOwner(waiter)) = room.by_owner.get(owner.as_str()) else {
                    return true;
                };
                if let Some(queue) = room.queues.get_mut(&waiter.claim.lock) {
                    let waiters = queue.seen.as_ref().map_or(1, |seen| seen.waiters);
                    if queue.seen.as_ref().is_some_and(|it| it.is_holder_foreign) {
                        waiter.tell(news::RECHECK);
                    }
                    queue.seen = Some(Seen::new(*expires_in, waiters, Some(waiter.claim.clone())));
                }
                waiter.tell(news::NEXT);
            }
            Event::Touched { lock } => room.on_touched(lock),
            Event::Flushed { scope } | Event::Reset { scope, .. } => room.on_reset(scope),
            // The successor may not have heard that they were served, and grant them the name again: that is handed on.
            Event::Succeeded { .. } => room.served.clear(),
        }
        true
    }

    /// Sends every waiter home.
    pub(crate) fn close(&self) {
        let mut room = self.lock();
        room.closed = true;
        for ByOwner(waiter) in &room.by_owner {
            waiter.tell(news::CLOSED);
        }
    }
}

#[cfg(test)]
mod tests;
