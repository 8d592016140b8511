//! The same client for callers who block.
//!
//! An uncontended acquire or release is one round trip in the caller's own thread. Everything else (waiting, renewing,
//! reconnecting, undoing) goes to one background runtime, started at the first use, which whoever waits drives himself.

mod background;
mod client_calls;
mod group_calls;
mod lead_calls;
mod lease_calls;
mod runtime;

#[doc(hidden)]
pub use background::Background;
pub(crate) use runtime::{Interrupt, Place};

pub use client_calls::{Acquire, Client, Locks, TryAcquire};
pub use group_calls::{AcquireAll, LeaseGroup, TryAcquireAll};
pub use lead_calls::Lead;
pub use lease_calls::Lease;
