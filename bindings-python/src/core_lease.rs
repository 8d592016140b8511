//! What the core's leases and groups have in common: what does not wait.

use std::sync::Arc;
use std::time::Duration;

use leaselock::{Error, Lease, LeaseGroup, LeaseState, LossReason, Result, blocking};

/// What is held: a lease or a group of the core, async or blocking.
pub(crate) trait CoreHeld: Send + Sync + 'static {
    fn on_lost(&self, hook: Box<dyn FnOnce(LossReason) + Send>);
    fn lost_error(&self) -> Option<Error>;
    fn check(&self) -> Result<()>;
    fn ttl(&self) -> Duration;
    fn expires_in(&self) -> Duration;
    fn state(&self) -> LeaseState;
    fn is_settled(&self) -> bool;
    /// For error texts. Locks nothing.
    fn what(&self) -> String;
}

macro_rules! core_held {
    ($held:ty, $core:ident, $what:expr) => {
        impl CoreHeld for $held {
            fn on_lost(&self, hook: Box<dyn FnOnce(LossReason) + Send>) {
                $core::on_lost(self.as_ref(), hook);
            }

            fn lost_error(&self) -> Option<Error> {
                $core::lost_error(self.as_ref())
            }

            fn check(&self) -> Result<()> {
                $core::check(self.as_ref())
            }

            fn ttl(&self) -> Duration {
                $core::ttl(self.as_ref())
            }

            fn expires_in(&self) -> Duration {
                $core::expires_in(self.as_ref())
            }

            fn state(&self) -> LeaseState {
                $core::state(self.as_ref())
            }

            fn is_settled(&self) -> bool {
                $core::is_settled(self.as_ref())
            }

            fn what(&self) -> String {
                $what(self.as_ref())
            }
        }
    };
}

core_held!(Arc<Lease>, Lease, one);
core_held!(blocking::Lease, Lease, one);
core_held!(Arc<LeaseGroup>, LeaseGroup, several);
core_held!(blocking::LeaseGroup, LeaseGroup, several);

fn one(lease: &Lease) -> String {
    format!("the lease on {:?}", lease.name())
}

fn several(group: &LeaseGroup) -> String {
    format!("the group of leases on {}", listed(group))
}

/// Their names, for people.
pub(crate) fn listed(group: &LeaseGroup) -> String {
    let names: Vec<_> = group.names().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// A lease of the core, async or blocking.
pub(crate) trait CoreLease: CoreHeld {
    fn core(&self) -> &Lease;

    /// May block for a moment. Fails only where that was interrupted: the lease is detached all the same.
    fn detach(&self) -> Result<()>;
}

impl CoreLease for Arc<Lease> {
    fn core(&self) -> &Lease {
        self
    }

    fn detach(&self) -> Result<()> {
        Lease::detach(self);
        Ok(())
    }
}

impl CoreLease for blocking::Lease {
    fn core(&self) -> &Lease {
        self.as_ref()
    }

    fn detach(&self) -> Result<()> {
        self.detach_or_interrupted()
    }
}
