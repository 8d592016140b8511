//! The gate itself: who comes in, who waits, and when nobody is inside.

use super::primitives::{AtomicUsize, Ordering, pause};

/// The bit that closes the gate; the others count who is inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

pub(super) struct Gate(AtomicUsize);

impl Gate {
    /// An open one, of zero.
    pub(super) const fn of(state: AtomicUsize) -> Self {
        Self(state)
    }

    /// Comes in; waits while it is closed.
    pub(super) fn enter(&self) {
        loop {
            let state = self.0.load(Ordering::Relaxed);
            if state & CLOSED != 0 {
                pause();
            } else if self
                .0
                .compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return;
            }
        }
    }

    pub(super) fn leave(&self) {
        // In a child the count began anew, and the thread that forked may come out only now.
        let _ = self
            .0
            .fetch_update(Ordering::Release, Ordering::Relaxed, |state| {
                (state & !CLOSED > 0).then(|| state - 1)
            });
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Closes it, when nobody else has, and waits until nobody is inside, or for as long as `is_patient`.
    pub(super) fn close(&self, mut is_patient: impl FnMut() -> bool) {
        while self.0.fetch_or(CLOSED, Ordering::Acquire) & CLOSED != 0 {
            pause(); // another thread forks
        }
        while self.0.load(Ordering::Acquire) != CLOSED && is_patient() {
            pause();
        }
    }

    pub(super) fn open(&self) {
        self.0.fetch_and(!CLOSED, Ordering::Release);
    }

    /// Opens it with nobody inside, in a child, where no other thread lives; whether it was closed, with nobody inside.
    pub(super) fn begin_anew(&self) -> bool {
        self.0.swap(0, Ordering::AcqRel) == CLOSED
    }
}
