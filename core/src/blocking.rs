//! The same client for callers who block.
//!
//! An uncontended acquire or release is one round trip in the caller's own thread. Everything else (waiting, renewing,
//! reconnecting, undoing) goes to a runtime on one background thread, which is started at the first use.

mod client;
mod lease;
mod runtime;

pub use client::{Acquire, Client, Locks, TryAcquire};
pub use lease::Lease;
