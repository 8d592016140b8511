//! What the core's two leases have in common: the one that does not wait.

use std::sync::Arc;

use leaselock::{Lease, blocking};

/// A lease of the core, async or blocking.
pub(crate) trait CoreLease: Send + Sync + 'static {
    fn core(&self) -> &Lease;

    /// May block for a moment.
    fn detach(&self);
}

impl CoreLease for Arc<Lease> {
    fn core(&self) -> &Lease {
        self
    }

    fn detach(&self) {
        Lease::detach(self);
    }
}

impl CoreLease for blocking::Lease {
    fn core(&self) -> &Lease {
        self.as_ref()
    }

    fn detach(&self) {
        blocking::Lease::detach(self);
    }
}
