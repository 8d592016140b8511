//! What the checker remembers beside the system, to state its properties.

use crate::wire::{Owner, Owners};

/// What has happened so far, as far as properties ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    /// The largest token that the server has answered with.
    pub(crate) issued: u8,
    /// The largest token that a lease was handed out with.
    pub(crate) handed: u8,
    /// A token was not larger than the one before.
    pub(crate) disorder: bool,
    /// Owners whose lock was taken from them by force or by a loss of data: their leases may overlap with the next.
    pub(crate) deposed: Owners,
    /// Owners whose lock is left to its TTL: the lease was lost, or the last release was.
    pub(crate) lost: Owners,
    /// Ticks for which the lock has been free while a live waiter was there.
    pub(crate) free_ticks: u8,
}

impl Ghost {
    /// The server answers with a token.
    pub(crate) fn issue(&mut self, token: u8) {
        self.disorder |= token <= self.issued;
        self.issued = self.issued.max(token);
    }

    /// A lease begins for its user.
    pub(crate) fn hand_out(&mut self, owner: Owner, token: u8) {
        self.disorder |= token <= self.handed && !self.deposed.contains(owner);
        self.handed = self.handed.max(token);
    }
}
