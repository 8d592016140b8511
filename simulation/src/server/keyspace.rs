//! The keys of a database.

use std::collections::BTreeMap;

use super::sorted_set::SortedSet;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(Vec<u8>),
    SortedSet(SortedSet),
}

/// What a key holds, and until when: in ms of the server's clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) expires: Option<i64>,
}

impl Entry {
    /// It is still there in the millisecond at which its time ends.
    pub(super) fn is_expired(&self, millis: i64) -> bool {
        self.expires.is_some_and(|expires| millis > expires)
    }
}

/// One database. It has few keys.
pub(super) type Keys = BTreeMap<Vec<u8>, Entry>;
