//! Distributed locks held under a lease: on Redis or Valkey, or without a server in a file or in memory.
//!
//! A lock is a name that one holder has at a time. It is held under a *lease*: a holder that crashes loses the name when
//! its time runs out. Leases are renewed in the background, waiters are served in the order in which they came, without
//! polling, and every lease carries a *fencing token* that grows with each, so that the protected resource can refuse a
//! holder that has lost the lock without knowing it.
//!
//! ```no_run
//! # async fn example() -> leaselock::Result<()> {
//! use std::time::Duration;
//!
//! let client = leaselock::Client::new("redis://localhost")?;
//! let lease = client
//!     .acquire("orders:42")
//!     .ttl(Duration::from_secs(10))
//!     .wait(Duration::from_secs(60))
//!     .await?;
//! // ... the work; pass lease.token() to whatever it writes to ...
//! lease.check()?;
//! lease.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`blocking::Client`] is the same for callers without an async runtime.

#![forbid(unsafe_code)]

mod access;
mod acquire;
mod backoff;
pub mod blocking;
mod builder;
mod claim;
mod client;
mod clock;
#[doc(hidden)]
pub mod diagnosis;
#[doc(hidden)]
pub mod ending;
mod environment;
mod error;
#[doc(hidden)]
pub mod fork;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod holding;
mod keeper;
mod lead;
mod lease;
mod limit;
mod listing;
mod lock_info;
mod name;
mod neighbours;
mod observe;
pub mod options;
#[doc(hidden)]
pub mod platform;
#[doc(hidden)]
pub mod port;
mod released;
mod releasing;
mod seeded;
mod shared;
mod state;
mod stats;
mod store;
mod sync;
mod undo;
mod waiting;

pub use access::Credentials;
pub use builder::ClientBuilder;
pub use client::{Acquire, Client, TryAcquire};
pub use error::{Error, ErrorKind, LossReason, Result};
pub use group::{AcquireAll, GroupRequest, LeaseGroup, TryAcquireAll};
pub use lead::Lead;
pub use lease::Lease;
pub use listing::Locks;
pub use lock_info::{ExtendStatus, Holder, LockInfo, Mode, ReleaseStatus};
#[doc(hidden)]
pub use observe::Context;
pub use observe::{LockEvent, LockEventKind, Observer};
pub use options::{AcquireOptions, Request, Unit, duration};
pub use state::LeaseState;
pub use stats::Stats;

/// What a simulation decides for the clients of its thread.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation {
    pub use crate::environment::{Entered, Environment, Gate, Stream, enter};
    #[cfg(feature = "seeded-bugs")]
    pub use crate::seeded::{Bug, seed};
}
