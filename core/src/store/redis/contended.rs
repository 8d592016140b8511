//! Which names may have a queue. A take does not see it, and whoever tries again and again would get in before those who wait
//! each time a lease runs out. So whoever found a name held, or left it to its TTL, asks by the script for a while, which hands
//! a free name to the queue.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::name::LockId;

/// How long a client asks by the script from then on: so often it can get in before those who wait, and no more often.
const LATELY: Duration = Duration::from_secs(60);
/// Names that share a slot are taken for one another, which costs them a script and nothing else.
const SLOTS: usize = 256;

/// When names were last noted, in seconds of the boot clock, and one more.
pub(super) struct Contended {
    /// Of any name.
    last: AtomicU32,
    by_name: [AtomicU32; SLOTS],
}

impl Default for Contended {
    fn default() -> Self {
        Self {
            last: AtomicU32::new(0),
            by_name: [const { AtomicU32::new(0) }; SLOTS],
        }
    }
}

impl Contended {
    /// The name may have a queue.
    pub(super) fn note(&self, lock: &LockId) {
        let now = seconds();
        self.last.store(now, Ordering::Relaxed);
        self.by_name[slot(lock)].store(now, Ordering::Relaxed);
    }

    /// Whether that was so lately.
    pub(super) fn is_noted(&self, lock: &LockId) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        // A client that never met a holder does not even ask the clock.
        if last == 0 {
            return false;
        }
        let now = seconds();
        is_lately(last, now) && is_lately(self.by_name[slot(lock)].load(Ordering::Relaxed), now)
    }
}

fn is_lately(at: u32, now: u32) -> bool {
    at != 0 && u64::from(now.saturating_sub(at)) < LATELY.as_secs()
}

fn seconds() -> u32 {
    let seconds = Moment::now().millis() / 1000;
    u32::try_from(seconds).map_or(u32::MAX, |seconds| seconds.saturating_add(1))
}

fn slot(lock: &LockId) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(lock);
    usize::try_from(hash % SLOTS as u64).unwrap_or(0)
}
