//! Forking while databases are open.
//!
//! Neither an SQLite connection nor a POSIX lock survives a fork: the child has the memory of both, and the locks stay the
//! parent's. So every use of SQLite, and of what is shared by the process, goes through one gate. Before a fork it is closed
//! until nobody is inside; the child closes what it inherited, and opens connections of its own when it needs them.
//!
//! Whoever forks calls [`prepare`] before, and then [`parent`] or [`child`]. A child that only calls `exec` needs none of
//! it. In the child, clients made before the fork are to be left alone; new ones work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::registry;
use crate::sync;

/// How many are inside; the highest bit closes the gate.
static GATE: AtomicUsize = AtomicUsize::new(0);
const CLOSED: usize = 1 << (usize::BITS - 1);
/// Nobody stays inside for much longer.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// What a child must not keep.
static INHERITED: Mutex<Vec<Arc<dyn Inherited>>> = Mutex::new(Vec::new());

/// Something of the process that a child has to close before it opens the like.
pub(super) trait Inherited: Send + Sync {
    /// Closes it in the child, where no other thread lives.
    fn close_in_child(&self);
}

/// The right to use SQLite and what the process shares. Not to be asked for twice by one thread.
pub(super) struct Inside(());

/// Comes in; waits while a fork is under way.
pub(super) fn enter() -> Inside {
    loop {
        let state = GATE.load(Ordering::Relaxed);
        if state & CLOSED != 0 {
            thread::sleep(LOOK_AGAIN);
        } else if GATE
            .compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return Inside(());
        }
    }
}

/// Whether a fork is under way. A caller with a lock that the forking thread may need (Python's, for one) must not wait for
/// its end.
pub(super) fn is_under_way() -> bool {
    GATE.load(Ordering::Relaxed) & CLOSED != 0
}

impl Drop for Inside {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::Release);
    }
}

fn inherited(_: &Inside) -> MutexGuard<'static, Vec<Arc<dyn Inherited>>> {
    sync::lock(&INHERITED)
}

/// `what` is open from now on.
pub(super) fn opened(inside: &Inside, what: Arc<dyn Inherited>) {
    inherited(inside).push(what);
}

/// `what` is closed.
pub(super) fn closed(inside: &Inside, what: &Arc<dyn Inherited>) {
    inherited(inside).retain(|open| !Arc::ptr_eq(open, what));
}

/// Before a fork: from here on nobody uses a database, until [`parent`] or [`child`].
pub fn prepare() {
    while GATE.fetch_or(CLOSED, Ordering::Acquire) & CLOSED != 0 {
        thread::sleep(LOOK_AGAIN); // another thread forks
    }
    while GATE.load(Ordering::Acquire) != CLOSED {
        thread::sleep(LOOK_AGAIN);
    }
}

/// After a fork, in the parent; also after one that failed.
pub fn parent() {
    GATE.fetch_and(!CLOSED, Ordering::Release);
}

/// After a fork, in the child, before anything else is done with leaselock.
pub fn child() {
    GATE.store(0, Ordering::Release);
    let inside = enter();
    for open in std::mem::take(&mut *inherited(&inside)) {
        open.close_in_child();
        // Its other owners are threads that do not exist here: it is never freed.
        std::mem::forget(open);
    }
    registry::forget(&inside);
}
