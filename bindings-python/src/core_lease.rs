//! What the core's two leases have in common: the one that does not wait.

use std::sync::Arc;

use leaselock::{Lease, blocking};

/// A lease of the core, async or blocking.
pub(crate) trait CoreLease: Send + Sync + 'static {
    fn core(&self) -> &Lease;
}

impl CoreLease for Arc<Lease> {
    fn core(&self) -> &Lease {
        self
    }
}

impl CoreLease for blocking::Lease {
    fn core(&self) -> &Lease {
        self.as_ref()
    }
}
