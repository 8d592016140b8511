//! What a client has got: the lease on one name, or those on several names together.

use std::time::Duration;

use leaselock::{Lease, LeaseGroup, LossReason, Result};

pub(crate) enum Taken {
    One(Lease),
    All(LeaseGroup),
}

impl Taken {
    /// The token of each name.
    pub(crate) fn tokens(&self) -> Vec<(usize, u64)> {
        let number = |name: &str| name.parse().expect("names are numbers");
        match self {
            Self::One(lease) => vec![(number(lease.name()), lease.token())],
            Self::All(group) => {
                let tokens = group.tokens().into_iter();
                tokens.map(|(name, token)| (number(name), token)).collect()
            }
        }
    }

    /// The first name, and the owner that has it.
    pub(crate) fn first(&self) -> (&str, &str) {
        match self {
            Self::One(lease) => (lease.name(), lease.owner()),
            Self::All(group) => {
                let first = group.owners().into_iter().next();
                first.expect("at least one")
            }
        }
    }

    pub(crate) fn held(&self) -> bool {
        match self {
            Self::One(lease) => lease.held(),
            Self::All(group) => group.held(),
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        match self {
            Self::One(lease) => lease.ttl(),
            Self::All(group) => group.ttl(),
        }
    }

    pub(crate) fn expires_in(&self) -> Duration {
        match self {
            Self::One(lease) => lease.expires_in(),
            Self::All(group) => group.expires_in(),
        }
    }

    pub(crate) fn on_lost(&self, hook: Box<dyn FnOnce(LossReason) + Send>) {
        match self {
            Self::One(lease) => lease.on_lost(hook),
            Self::All(group) => group.on_lost(hook),
        }
    }

    pub(crate) async fn extend(&self, ttl: Option<Duration>) -> Result<()> {
        match self {
            Self::One(lease) => lease.extend(ttl).await,
            Self::All(group) => group.extend(ttl).await,
        }
    }

    pub(crate) async fn release(&self) -> Result<bool> {
        match self {
            Self::One(lease) => lease.release().await,
            Self::All(group) => group.release().await,
        }
    }

    /// Leaves it to its TTL; several names cannot be.
    pub(crate) fn detach(&self) {
        if let Self::One(lease) = self {
            lease.detach();
        }
    }
}
