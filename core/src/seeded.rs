//! Bugs that a test can have in this crate, each the breach of one rule. There are none but with the feature `seeded-bugs`, and then in
//! the threads that ask for one.

/// A bug to seed.
#[allow(
    clippy::exhaustive_enums,
    dead_code,
    unreachable_pub,
    reason = "for tests of this repository"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A lease counts from the answer that it began with, and not from when that was asked for.
    DeadlineFromAnswer,
    /// A renewal counts from its answer.
    RenewalFromAnswer,
    /// Undoing is not repeated after a connection that broke.
    UndoOnce,
    /// A try that meets a holder forgets that an earlier command of its own is still unanswered.
    TryForgets,
    /// An acquire that is dropped is not undone.
    DropForgets,
    /// A shorter extension that was left on a broken connection is forgotten.
    ExtendForgets,
    /// A claim that may cut the claim window, and was left on a broken connection, is forgotten.
    ClaimUncapped,
    /// A grant begins a lease however long ago its waiter asked, which counts from when the grant is read.
    GrantIsLease,
    /// Waiters do not look by themselves.
    NoFallback,
    /// After a lost connection leases are renewed when that is due.
    RenewedWhenDue,
    /// A holder that is told that its lease is gone takes that for a failed renewal.
    DeposedGoesOn,
    /// A take goes out on a connection on which no wait was answered.
    TakeUnseeded,
    /// What was lost here, and may have been renewed there after all, is left there.
    LossKept,
    /// A release whose future is dropped is not sent on.
    ReleaseDropped,
    /// A waiter that asks again does not name its place in the queue.
    PlaceForgotten,
    /// Several names are taken in the order in which they are given.
    GroupUnsorted,
    /// A group is handed out without a look at whether its first leases have outlived the taking of the others.
    GroupUnlooked,
    /// A group that does not get all of its names keeps the first ones.
    GroupKept,
    /// What is held together with a lease that is lost is kept.
    GroupLossKept,
}

#[cfg(feature = "seeded-bugs")]
thread_local! {
    static SEEDED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Seeds a bug in this thread, or none.
#[cfg(feature = "seeded-bugs")]
pub fn seed(bug: Option<Bug>) {
    SEEDED.set(bug);
}

/// Whether this bug is seeded.
#[cfg(feature = "seeded-bugs")]
pub(crate) fn is_seeded(bug: Bug) -> bool {
    SEEDED.get() == Some(bug)
}

/// None is.
#[cfg(not(feature = "seeded-bugs"))]
#[inline]
pub(crate) const fn is_seeded(_: Bug) -> bool {
    false
}
