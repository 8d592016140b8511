//! What the core's two leases have in common: the one that does not wait.

use std::sync::Arc;

use leaselock::{Lease, Result, blocking};

/// A lease of the core, async or blocking.
pub(crate) trait CoreLease: Send + Sync + 'static {
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
