//! The system's own.

use std::future::Future;

pub(crate) use crate::platform::since_boot;

/// How maps hash whose order shows: as it comes.
pub(crate) type Hashing = std::collections::hash_map::RandomState;

/// Fills `bytes` with the system's randomness.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    getrandom::fill(bytes)
}

/// A task of a client, as it is to be spawned.
#[inline]
pub(crate) fn task<F: Future>(task: F) -> F {
    task
}
