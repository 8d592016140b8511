//! Looking keys up, and what a change to one means for others: transactions that watch it, connections that are told of it.

use super::condition::Role;
use super::connection::ConnId;
use super::instance::Server;
use super::keyspace::{Entry, Value};
use super::reply::Refused;
use super::sorted_set::SortedSet;

pub(super) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

impl Server {
    /// What a key holds. One whose time is over is removed, by a master.
    pub(super) fn lookup(&mut self, database: usize, key: &[u8]) -> Option<&mut Entry> {
        let millis = self.millis();
        let entry = self.databases[database].get(key)?;
        if entry.is_expired(millis) {
            if self.role == Role::Master {
                self.remove(database, key);
            }
            return None;
        }
        self.databases[database].get_mut(key)
    }

    /// What a key holds, if it is text.
    pub(super) fn text(
        &mut self,
        database: usize,
        key: &[u8],
    ) -> Result<Option<&mut Vec<u8>>, Refused> {
        match self.lookup(database, key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Text(text),
                ..
            }) => Ok(Some(text)),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// What a key holds, if it is a sorted set.
    pub(super) fn sorted_set(
        &mut self,
        database: usize,
        key: &[u8],
    ) -> Result<Option<&mut SortedSet>, Refused> {
        match self.lookup(database, key) {
            None => Ok(None),
            Some(Entry {
                value: Value::SortedSet(set),
                ..
            }) => Ok(Some(set)),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// Removes a key, and tells of it; whether it was there.
    pub(super) fn remove(&mut self, database: usize, key: &[u8]) -> bool {
        let was_there = self.databases[database].remove(key).is_some();
        if was_there {
            self.changed(database, key);
        }
        was_there
    }

    /// Sets a key, and tells of it.
    pub(super) fn put(&mut self, database: usize, key: &[u8], entry: Entry) {
        match self.databases[database].get_mut(key) {
            Some(there) => *there = entry,
            None => drop(self.databases[database].insert(key.to_vec(), entry)),
        }
        self.changed(database, key);
    }

    /// A sorted set has changed: one without members is none.
    pub(super) fn sorted_set_changed(&mut self, database: usize, key: &[u8]) {
        let keys = &mut self.databases[database];
        if let Some(Entry {
            value: Value::SortedSet(set),
            ..
        }) = keys.get(key)
            && set.is_empty()
        {
            keys.remove(key);
        }
        self.changed(database, key);
    }

    /// A key has changed.
    pub(super) fn changed(&mut self, database: usize, key: &[u8]) {
        self.offset += 1;
        if self.watchers > 0 {
            let is_gone = !self.databases[database].contains_key(key);
            self.touch(database, |it, had_ended| {
                it == key && !(had_ended && is_gone)
            });
        }
        let Some(told) = self.tracked.remove(key) else {
            return;
        };
        for id in told {
            let connection = self.connections.get(&id);
            let tracking = connection.and_then(|it| it.tracking);
            if tracking.is_some_and(|it| !(it.no_loop && self.current == Some(id))) {
                self.tell_of_change(id, Some(key));
            }
        }
    }

    /// The transactions that watch such keys will not be carried out.
    pub(super) fn touch(&mut self, database: usize, is_changed: impl Fn(&[u8], bool) -> bool) {
        for connection in self.connections.values_mut() {
            let mut watched = connection.watched.iter();
            let is_touched =
                watched.any(|(of, key, had_ended)| *of == database && is_changed(key, *had_ended));
            connection.is_touched |= is_touched;
        }
    }

    /// Whether the connection whose command is carried out is to be told of what it reads.
    pub(super) fn is_tracking(&self) -> bool {
        let connection = self.current.and_then(|id| self.connections.get(&id));
        connection.is_some_and(|it| it.tracking.is_some())
    }

    /// Notes what a command has read, for a connection that asked for that.
    pub(super) fn track<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        let Some((id, connection)) = self
            .current
            .and_then(|id| Some((id, self.connections.get(&id)?)))
        else {
            return;
        };
        let Some(tracking) = connection.tracking else {
            return;
        };
        let caching = connection.caching;
        if tracking.opt_in && !caching || tracking.opt_out && caching {
            return;
        }
        for key in keys {
            self.tracked.entry(key.to_vec()).or_default().insert(id);
        }
    }

    /// Everything of a database, or of all, has gone.
    pub(super) fn flushed(&mut self, databases: std::ops::Range<usize>) {
        self.offset += 1;
        for database in databases {
            if self.watchers > 0 {
                let keys = std::mem::take(&mut self.databases[database]);
                self.touch(database, |key, had_ended| {
                    !had_ended && keys.contains_key(key)
                });
            } else {
                self.databases[database].clear();
            }
        }
        let told: Vec<ConnId> = self.connections.keys().copied().collect();
        for id in told {
            self.tell_of_change(id, None);
        }
        self.tracked.clear();
    }
}
