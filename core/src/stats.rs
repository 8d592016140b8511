//! What a client has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one client since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Leases held now.
    pub held: u64,
    /// Acquires waiting in a queue now.
    pub waiting: u64,
    /// Leases acquired.
    pub acquired: u64,
    /// Acquires that met a name held by someone else.
    pub contended: u64,
    /// Acquires whose wait ran out.
    pub timed_out: u64,
    /// Acquires that were cancelled.
    pub cancelled: u64,
    /// Leases given back by their holder.
    pub released: u64,
    /// Leases lost: run out, taken, released by someone else, or at `max_hold`.
    pub lost: u64,
    /// Renewals that succeeded, `extend` included.
    pub renewals: u64,
    /// Renewals that failed and were tried again.
    pub renew_failures: u64,
    /// Connections made again after one was lost.
    pub reconnects: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) held: Counter,
    pub(crate) waiting: Counter,
    pub(crate) acquired: Counter,
    pub(crate) contended: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) released: Counter,
    pub(crate) lost: Counter,
    pub(crate) renewals: Counter,
    pub(crate) renew_failures: Counter,
}

impl Counters {
    pub(crate) fn read(&self, reconnects: u64) -> Stats {
        Stats {
            held: self.held.get(),
            waiting: self.waiting.get(),
            acquired: self.acquired.get(),
            contended: self.contended.get(),
            timed_out: self.timed_out.get(),
            cancelled: self.cancelled.get(),
            released: self.released.get(),
            lost: self.lost.get(),
            renewals: self.renewals.get(),
            renew_failures: self.renew_failures.get(),
            reconnects,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
