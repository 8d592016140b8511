//! What the checker remembers beside the system, to state its properties.

use crate::config::{Config, EXCLUSIVE};
use crate::wire::{Owner, Owners};

/// What has happened so far, as far as properties ask.
// Independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    /// The largest token that the server has answered with.
    pub(crate) issued: u8,
    /// The largest token that an exclusive lease was handed out with.
    pub(crate) handed: u8,
    /// The largest that any other was.
    pub(crate) shared: u8,
    /// A token was not larger than the one before.
    pub(crate) disorder: bool,
    /// Somebody was admitted who was one too many for it, or an exclusive one, or beside one.
    pub(crate) crowded: bool,
    /// Somebody was admitted before a live waiter that had come earlier.
    pub(crate) overtook: bool,
    /// Owners whose lock was taken from them, by a force that met them or by a loss of data, until a renewal tells them:
    /// their leases may overlap with the next.
    pub(crate) deposed: Owners,
    /// Those of them who have the name back by a command carried out late or by a replica, with an older token than others'.
    pub(crate) outdated: Owners,
    /// Those whose server came back with other data.
    pub(crate) restarted: Owners,
    /// Ticks for which one of these has gone on, on a new connection.
    pub(crate) learning: u8,
    /// A force ended a lease that it had not met.
    pub(crate) overreached: bool,
    /// Owners whose lock is left to its TTL: the lease was lost, or the last release was.
    pub(crate) lost: Owners,
    /// Ticks for which the lock has been free while a live waiter was there.
    pub(crate) free_ticks: u8,
    /// A script has left the name free with waiters in the queue.
    pub(crate) freed: bool,
    /// Then someone else took it before a live waiter.
    pub(crate) barged: bool,
    /// Ticks for which the first in the queue has been one whose process is gone, with a live waiter behind.
    pub(crate) dead_ticks: u8,
    /// The queue was lost.
    pub(crate) forgot: bool,
    /// Owners whom the server has told since that their places were lost.
    pub(crate) told: Owners,
    /// Ticks for which a client has had a waiter that is not in the queue and does nothing about it, though another one of
    /// the same client was told so.
    pub(crate) apart_ticks: u8,
    /// Waiters that were told in this tick to ask again, since another one has lost its place.
    pub(crate) asked_again: u8,
    /// And at all, where that is counted.
    pub(crate) asks_again: u8,
}

impl Ghost {
    /// The server answers with a token.
    pub(crate) fn issue(&mut self, token: u8) {
        self.disorder |= token <= self.issued;
        self.issued = self.issued.max(token);
    }

    /// A lease begins for its user.
    pub(crate) fn hand_out(&mut self, owner: Owner, token: u8, limit: u8) {
        let exclusive = limit == EXCLUSIVE;
        // Those who share begin in any order.
        let late = token <= self.handed || exclusive && token <= self.shared;
        self.disorder |= late && !self.deposed.contains(owner);
        let largest = if exclusive {
            &mut self.handed
        } else {
            &mut self.shared
        };
        *largest = token.max(*largest);
    }

    /// The queue is lost.
    pub(crate) fn forget(&mut self) {
        self.forgot = true;
        self.told = Owners::default();
    }

    /// A waiter is told to ask again, since another one of its client has lost its place.
    pub(crate) fn ask_again(&mut self, config: &Config) {
        self.asked_again = (self.asked_again + 1).min(config.others() + 1);
        if let Some(most) = config.asks_again {
            self.asks_again = (self.asks_again + 1).min(most + 1);
        }
    }

    /// A waiter is told that its place was lost.
    pub(crate) fn tell(&mut self, owner: Owner) {
        if self.forgot {
            self.told.insert(owner);
        }
    }
}
