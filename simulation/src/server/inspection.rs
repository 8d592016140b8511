//! What a server has, for one who looks on: nothing is removed, counted or told of by that. Of the first database.

use super::instance::{Micros, Server};
use super::keyspace::Value;

impl Server {
    /// The text of a key, when the server's clock shows `now`.
    #[must_use]
    pub fn text_of(&self, key: &str, now: Micros) -> Option<&[u8]> {
        match self.value_of(key, now) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The scores and members of a sorted set in their order; none, where there is no such set.
    #[must_use]
    pub fn members_of(&self, key: &str, now: Micros) -> &[(f64, Vec<u8>)] {
        match self.value_of(key, now) {
            Some(Value::SortedSet(set)) => set.entries(),
            _ => &[],
        }
    }

    /// When a key ends, in ms of the server's clock.
    #[must_use]
    pub fn end_of(&self, key: &str) -> Option<i64> {
        self.databases[0].get(key.as_bytes())?.expires
    }

    /// The keys that stay until somebody removes them.
    pub fn keys_without_end(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.databases[0].iter();
        let endless = all.filter(|(_, entry)| entry.expires.is_none());
        endless.map(|(key, _)| key.as_slice())
    }

    fn value_of(&self, key: &str, now: Micros) -> Option<&Value> {
        let entry = self.databases[0].get(key.as_bytes())?;
        (!entry.is_expired(now.div_euclid(1_000))).then_some(&entry.value)
    }
}
