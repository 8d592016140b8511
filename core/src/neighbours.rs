//! The clients of this process, to tell whether one of them holds a lock.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use crate::keeper::Keeper;

/// Nobody has the list for longer than a moment, unless the process was forked just then: then nobody ever gives it back.
const TRIES: usize = 1_000;

struct Neighbours {
    /// The process that they belong to: a child's are others.
    process: u32,
    keepers: Vec<Weak<Keeper>>,
    /// Those that are gone are looked for when there are so many.
    look_at: usize,
}

static NEIGHBOURS: Mutex<Neighbours> = Mutex::new(Neighbours {
    process: 0,
    keepers: Vec::new(),
    look_at: 0,
});

/// The list; `None` where it cannot be had.
fn neighbours() -> Option<MutexGuard<'static, Neighbours>> {
    for _ in 0..TRIES {
        let mut list = match NEIGHBOURS.try_lock() {
            Ok(list) => list,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::yield_now();
                continue;
            }
        };
        let process = std::process::id();
        if list.process != process {
            // What was inherited is left alone.
            std::mem::forget(std::mem::take(&mut list.keepers));
            list.process = process;
            list.look_at = 0;
        }
        return Some(list);
    }
    None
}

/// Notes the keeper of a new client.
pub(crate) fn add(keeper: &Arc<Keeper>) {
    let Some(mut list) = neighbours() else { return };
    if list.keepers.len() >= list.look_at {
        list.keepers.retain(|keeper| keeper.strong_count() > 0);
        list.look_at = 2 * list.keepers.len() + 16;
    }
    list.keepers.push(Arc::downgrade(keeper));
}

/// Whether a client of this process has a lease of `owner`.
pub(crate) fn hold(owner: &str) -> bool {
    let Some(list) = neighbours() else {
        return false;
    };
    let all: Vec<_> = list.keepers.iter().filter_map(Weak::upgrade).collect();
    drop(list);
    all.iter().any(|keeper| keeper.holds(owner))
}
