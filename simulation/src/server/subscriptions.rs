//! Who listens to which channel.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::{ConnId, Connection};

/// Listeners by channel.
type Listeners = BTreeMap<Vec<u8>, BTreeSet<ConnId>>;

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    channels: Listeners,
    patterns: Listeners,
    shard_channels: Listeners,
}

/// The three kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Subscriptions {
    pub(super) fn add(&mut self, kind: Kind, channel: &[u8], id: ConnId) {
        let of_kind = self.of(kind);
        match of_kind.get_mut(channel) {
            Some(listeners) => drop(listeners.insert(id)),
            None => drop(of_kind.insert(channel.to_vec(), BTreeSet::from([id]))),
        }
    }

    pub(super) fn remove(&mut self, kind: Kind, channel: &[u8], id: ConnId) {
        let of_kind = self.of(kind);
        if let Some(listeners) = of_kind.get_mut(channel) {
            listeners.remove(&id);
            if listeners.is_empty() {
                of_kind.remove(channel);
            }
        }
    }

    /// A connection has gone.
    pub(super) fn forget(&mut self, id: ConnId, connection: &Connection) {
        for (kind, channels) in [
            (Kind::Channel, &connection.channels),
            (Kind::Pattern, &connection.patterns),
            (Kind::Shard, &connection.shard_channels),
        ] {
            for channel in channels {
                self.remove(kind, channel, id);
            }
        }
    }

    /// How many listen to exactly this channel.
    pub(super) fn count(&mut self, kind: Kind, channel: &[u8]) -> usize {
        self.of(kind).get(channel).map_or(0, BTreeSet::len)
    }

    pub(super) fn listeners(&mut self, kind: Kind, channel: &[u8]) -> Vec<ConnId> {
        let listeners = self.of(kind).get(channel);
        listeners.map_or_else(Vec::new, |all| all.iter().copied().collect())
    }

    /// Who listens by pattern, and by which.
    pub(super) fn by_pattern(&self, channel: &[u8]) -> Vec<(ConnId, Vec<u8>)> {
        let matching = self.patterns.iter();
        let matching = matching.filter(|(pattern, _)| super::glob::matches(pattern, channel));
        matching
            .flat_map(|(pattern, all)| all.iter().map(|id| (*id, pattern.clone())))
            .collect()
    }

    fn of(&mut self, kind: Kind) -> &mut Listeners {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }
}
