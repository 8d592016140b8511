//! Feeds leaselock with what nobody would send, and looks that it bears it: no panic, no hang, a typed error, bounded memory.
//!
//! ```sh
//! make fuzz                            # every target, 100,000 inputs in all
//! make fuzz COUNT=5000000              # so many
//! make fuzz COUNT=1000000 TARGET=urls  # of one target; SEED=2 for others
//! ```
//!
//! A target is a function of bytes. `corpus/<target>/` has what it begins with, and the smallest input of each bug that was found.

#[cfg(feature = "targets")]
mod hostile;
#[cfg(feature = "targets")]
mod mutating;
#[cfg(feature = "targets")]
mod targets;
#[cfg(feature = "targets")]
mod trying;

#[cfg(feature = "targets")]
pub use self::mutating::Mutator;
#[cfg(feature = "targets")]
pub use self::targets::{TARGETS, Target, corpus};
#[cfg(feature = "targets")]
pub use self::trying::{shrunk, try_one};
