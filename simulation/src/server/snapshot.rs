//! What a server would have on its disk, or a replica.

use super::keyspace::Keys;

/// The data of a server: keys with their ends in absolute time, and the scripts that it knows.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(super) databases: Vec<Keys>,
    pub(super) scripts: Vec<Vec<u8>>,
    pub(super) offset: u64,
}

impl Snapshot {
    /// How much had been written: [`Server::offset`](super::Server::offset) at that time.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The same data for a server that knows no scripts: a restart forgets them.
    #[must_use]
    pub fn without_scripts(mut self) -> Self {
        self.scripts.clear();
        self
    }
}
