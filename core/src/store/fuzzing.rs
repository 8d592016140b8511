//! What stores read that others have written, fed with anything.

pub(crate) use super::redis::fuzzing::keys;
pub use super::redis::fuzzing::replies;
use super::{embedded, redis};

/// A message to a client's inbox, by a server or by another process.
pub fn inbox(bytes: &[u8]) {
    redis::fuzzing::inbox(bytes);
    embedded::fuzzing::inbox(bytes);
}

/// The URL of a store; a refusal does not show its password.
pub fn url(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        embedded::fuzzing::url(text);
        redis::fuzzing::url(text);
    }
}
