//! Forking while stores are open.
//!
//! Neither a connection nor an SQLite database nor a POSIX lock survives a fork: the child has the memory of all of them, and
//! they stay the parent's. So what is open is written down here, and whoever changes that, or uses SQLite, goes through one
//! gate. Before a fork it is closed until nobody is inside; the child closes what it inherited, without a word to anybody,
//! and opens its own when it needs it.
//!
//! Whoever forks calls [`prepare`] before, and then [`parent`] or [`child`]; `pthread_atfork` can see to that. A child that
//! only calls `exec` needs none of it. In the child, clients made before the fork are to be left alone; new ones work.

mod gate;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use self::gate::Gate;
use self::primitives::AtomicUsize;
use crate::platform::{AsRawDescriptor, Inheritable};
use crate::sync;

static GATE: Gate = Gate::of(AtomicUsize::new(0));
/// A fork does not wait for longer: a disk may have stopped, or the thread that forks may be inside itself, in the handler of
/// a signal.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a child must not keep.
static INHERITED: Mutex<Vec<Arc<dyn Inherited>>> = Mutex::new(Vec::new());
/// This process was forked without [`prepare`].
static UNPREPARED: AtomicBool = AtomicBool::new(false);

/// Something of the process that a child has to close before it opens the like.
pub(crate) trait Inherited: Send + Sync {
    /// Closes it in the child, where no other thread lives.
    fn close_in_child(&self, inside: &Inside);
}

/// The right to use SQLite and what the process shares. Not to be asked for twice by one thread.
pub(crate) struct Inside(());

/// Comes in; waits while a fork is under way.
pub(crate) fn enter() -> Inside {
    GATE.enter();
    Inside(())
}

/// Whether a fork is under way. A caller with a lock that the forking thread may need (Python's, for one) must not wait for
/// its end.
pub(crate) fn is_under_way() -> bool {
    GATE.is_closed()
}

/// Whether this process was forked without [`prepare`], so that nothing is known of what SQLite was doing.
pub(crate) fn was_unprepared() -> bool {
    UNPREPARED.load(Ordering::Relaxed)
}

impl Drop for Inside {
    fn drop(&mut self) {
        GATE.leave();
    }
}

fn inherited(_: &Inside) -> MutexGuard<'static, Vec<Arc<dyn Inherited>>> {
    sync::lock(&INHERITED)
}

/// `what` is open from now on.
pub(crate) fn opened(inside: &Inside, what: Arc<dyn Inherited>) {
    inherited(inside).push(what);
}

/// `what` is closed.
pub(crate) fn closed(inside: &Inside, what: &Arc<dyn Inherited>) {
    inherited(inside).retain(|open| !Arc::ptr_eq(open, what));
}

/// A descriptor that a child process must not keep open: to its other end, the parent would never have gone. To be dropped
/// before the descriptor is closed, and its number used again.
pub struct InChild(Arc<dyn Inherited>);

/// An open thing whose descriptor a child closes.
pub(crate) struct ClosedInChild<T> {
    /// Taken out when it is dropped.
    open: Option<(T, InChild)>,
}

impl InChild {
    /// From now on a child closes this descriptor.
    #[must_use]
    pub fn new(descriptor: &impl AsRawDescriptor) -> Self {
        Self::within(&enter(), descriptor)
    }

    fn within(inside: &Inside, descriptor: &impl AsRawDescriptor) -> Self {
        let inherited = Arc::new(Inheritable::new(descriptor));
        opened(inside, inherited.clone());
        Self(inherited)
    }

    /// Opens something; no child comes in between.
    pub(crate) fn open<T: AsRawDescriptor, E>(
        open: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Self), E> {
        let inside = enter();
        let open = open()?;
        let in_child = Self::within(&inside, &open);
        Ok((open, in_child))
    }
}

impl Drop for InChild {
    fn drop(&mut self) {
        closed(&enter(), &self.0);
    }
}

impl<T: AsRawDescriptor> ClosedInChild<T> {
    /// Where a child knows of the descriptor already.
    pub(crate) fn known(open: T, in_child: InChild) -> Self {
        Self {
            open: Some((open, in_child)),
        }
    }

    /// Opens it.
    pub(crate) fn open<E>(open: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        InChild::open(open).map(|(open, in_child)| Self::known(open, in_child))
    }
}

impl<T> Deref for ClosedInChild<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let open = self.open.as_ref();
        &open.expect("it is open until it is dropped").0
    }
}

impl<T> Drop for ClosedInChild<T> {
    fn drop(&mut self) {
        if let Some((open, in_child)) = self.open.take() {
            // No child comes in between.
            let inside = enter();
            closed(&inside, &in_child.0);
            drop(open);
            drop(inside);
        }
    }
}

impl Inherited for Inheritable {
    fn close_in_child(&self, _: &Inside) {
        Self::close_in_child(self);
    }
}

/// No fork comes while the result is kept. It must not be kept by who waits for anything, nor asked for twice by one thread.
#[must_use]
pub fn hold() -> impl Drop {
    enter()
}

/// Before a fork: from here on nobody uses a database, nor opens or closes a connection, until [`parent`] or [`child`].
pub fn prepare() {
    let mut begun = None;
    GATE.close(|| begun.get_or_insert_with(Instant::now).elapsed() < LONGEST_WAIT);
}

/// After a fork, in the parent; also after one that failed.
pub fn parent() {
    GATE.open();
}

/// After a fork, in the child, before anything else is done with leaselock.
pub fn child() {
    if !GATE.begin_anew() {
        return unprepared_child();
    }
    let inside = enter();
    let open = std::mem::take(&mut *inherited(&inside));
    close_all(open, &inside);
}

/// In a child that was forked without [`prepare`], as soon as that is found out: what can be closed is.
pub fn unprepared_child() {
    UNPREPARED.store(true, Ordering::Relaxed);
    GATE.begin_anew();
    let inside = enter();
    // Where the list was being changed it stays locked for ever, and what is in it stays open.
    if let Ok(mut list) = INHERITED.try_lock() {
        let open = std::mem::take(&mut *list);
        drop(list);
        close_all(open, &inside);
    }
}

fn close_all(inherited: Vec<Arc<dyn Inherited>>, inside: &Inside) {
    for open in inherited {
        open.close_in_child(inside);
        // Its other owners are threads that do not exist here: it is never freed.
        std::mem::forget(open);
    }
}

/// What the gate is made of: `model/` has others, to go through all that threads can do.
mod primitives {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering};

    use std::time::Duration;

    /// Nobody stays inside for much longer.
    const LOOK_AGAIN: Duration = Duration::from_micros(50);

    pub(super) fn pause() {
        std::thread::sleep(LOOK_AGAIN);
    }
}
