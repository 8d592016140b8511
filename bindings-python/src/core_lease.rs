//! What the core's two leases have in common.

use std::time::Duration;

use leaselock::{Error, LeaseState, LossReason, Result, blocking};

/// A lease of the core, async or blocking.
pub(crate) trait CoreLease: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn owner(&self) -> &str;
    fn token(&self) -> u64;
    fn ttl(&self) -> Duration;
    fn expires_in(&self) -> Duration;
    fn state(&self) -> LeaseState;
    fn held(&self) -> bool;
    fn check(&self) -> Result<()>;
    fn lost_error(&self) -> Option<Error>;
    fn is_settled(&self) -> bool;
    fn on_lost(&self, hook: Box<dyn FnOnce(LossReason) + Send>);
    fn detach(&self);
}

macro_rules! core_lease {
    ($lease:ty) => {
        impl CoreLease for $lease {
            fn name(&self) -> &str {
                self.name()
            }
            fn owner(&self) -> &str {
                self.owner()
            }
            fn token(&self) -> u64 {
                self.token()
            }
            fn ttl(&self) -> Duration {
                self.ttl()
            }
            fn expires_in(&self) -> Duration {
                self.expires_in()
            }
            fn state(&self) -> LeaseState {
                self.state()
            }
            fn held(&self) -> bool {
                self.held()
            }
            fn check(&self) -> Result<()> {
                self.check()
            }
            fn lost_error(&self) -> Option<Error> {
                self.lost_error()
            }
            fn is_settled(&self) -> bool {
                self.is_settled()
            }
            fn on_lost(&self, hook: Box<dyn FnOnce(LossReason) + Send>) {
                self.on_lost(hook);
            }
            fn detach(&self) {
                self.detach();
            }
        }
    };
}

core_lease!(leaselock::Lease);
core_lease!(blocking::Lease);
