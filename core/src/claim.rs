//! A claim to a lock: which lock, and the owner that one lease has it under.

use std::sync::Arc;

use crate::limit::Limit;
use crate::name::{LockId, fresh_owner};

/// One lease's claim to a lock, made once and shared by all that have to do with the lease: the acquire, the waiter, the
/// holding and the store's commands.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Claim {
    pub(crate) lock: LockId,
    /// Unique to the lease.
    pub(crate) owner: Box<str>,
    /// How many may hold the lock while this one does.
    pub(crate) limit: Limit,
}

impl Claim {
    /// A claim of a lease to be, under an owner of its own, behind `label` where there is one.
    pub(crate) fn fresh(lock: LockId, label: Option<&str>, limit: Limit) -> Arc<Self> {
        Self::of(lock, fresh_owner(label), limit)
    }

    /// The claim of a lease that was known before.
    pub(crate) fn of(lock: LockId, owner: String, limit: Limit) -> Arc<Self> {
        let owner = owner.into();
        Arc::new(Self { lock, owner, limit })
    }
}
