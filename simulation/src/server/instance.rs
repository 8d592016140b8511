//! The server itself, and what it is told from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::condition::{Condition, Pause, Role};
use super::config::{Config, Flavour};
use super::connection::{ConnId, Connection};
use super::keyspace::Keys;
use super::lua::Script;
use super::snapshot::Snapshot;
use super::subscriptions::Subscriptions;
use super::words::Words;

/// A time by a server's wall clock, in µs since 1970. It may jump either way from one call to the next.
pub type Micros = i64;

/// One server. All of it is data: it does something only while one of its methods runs.
#[derive(Debug, Default)]
pub struct Server {
    pub(super) config: Config,
    pub(super) role: Role,
    pub(super) condition: Condition,
    pub(super) pause: Option<Pause>,
    /// What its clock shows.
    pub(super) now: Micros,
    pub(super) databases: Vec<Keys>,
    pub(super) scripts: BTreeMap<[u8; 40], Arc<Script>>,
    pub(super) connections: BTreeMap<ConnId, Connection>,
    last_connection: u64,
    /// Whose command is carried out.
    pub(super) current: Option<ConnId>,
    pub(super) subscriptions: Subscriptions,
    /// Who is to be told when a key changes: any database's.
    pub(super) tracked: BTreeMap<Vec<u8>, BTreeSet<ConnId>>,
    /// How many connections watch keys for transactions.
    pub(super) watchers: usize,
    /// How much was written.
    pub(super) offset: u64,
    /// How much of that each replica has.
    pub(super) replicas: Vec<u64>,
    pub(super) random: u64,
    /// Room for the words of a command.
    pub(super) words: Words,
}

impl Server {
    /// An empty server.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let random = config.seed;
        Self {
            databases: vec![Keys::default(); config.databases],
            random,
            config,
            ..Self::default()
        }
    }

    /// A server with this data: after a restart, or a replica that was promoted. Nobody is connected.
    #[must_use]
    pub fn from_snapshot(config: Config, snapshot: &Snapshot) -> Self {
        let mut server = Self::new(config);
        for (database, keys) in server.databases.iter_mut().zip(&snapshot.databases) {
            database.clone_from(keys);
        }
        for text in &snapshot.scripts {
            // It was compiled once, and is again.
            let _ = server.load_script(text);
        }
        server.offset = snapshot.offset;
        server
    }

    /// Its data as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            databases: self.databases.clone(),
            scripts: self.scripts.values().map(|it| it.text.clone()).collect(),
            offset: self.offset,
        }
    }

    // ---- connections

    /// A client connects.
    pub fn connect(&mut self) -> ConnId {
        self.last_connection += 1;
        let id = ConnId(self.last_connection);
        let connection = Connection {
            is_logged_in: self.config.password.is_none(),
            ..Connection::default()
        };
        self.connections.insert(id, connection);
        id
    }

    /// A connection ends: what it sent and has not been carried out is lost, its subscriptions end, its transaction is dropped.
    pub fn disconnect(&mut self, id: ConnId) {
        self.unwatch(id);
        if let Some(connection) = self.connections.remove(&id) {
            self.subscriptions.forget(id, &connection);
        }
    }

    /// Whether the server keeps the connection. It closes one itself after `QUIT` and after what is no request: once its
    /// output is drained, it is gone.
    #[must_use]
    pub fn is_connected(&self, id: ConnId) -> bool {
        self.connections.contains_key(&id)
    }

    /// A client has sent `bytes`, which arrive when the server's clock shows `now`. What is complete is carried out, unless the
    /// server is paused or the connection waits for replicas: then later, by [`tick`](Self::tick).
    pub fn feed(&mut self, id: ConnId, bytes: &[u8], now: Micros) {
        self.now = now;
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.is_closing
        {
            connection.requests.push(bytes);
            self.serve(id);
        }
    }

    /// What is to be sent on a connection; it is taken out.
    pub fn output(&mut self, id: ConnId) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Vec::new();
        };
        let output = std::mem::take(&mut connection.output);
        if connection.is_closing {
            self.disconnect(id);
        }
        output
    }

    /// The connections on which something is to be sent, or which are to be closed, in the order in which they were made.
    #[must_use]
    pub fn connections_with_output(&self) -> Vec<ConnId> {
        let all = self.connections.iter();
        let has_output = |it: &(&ConnId, &Connection)| !it.1.output.is_empty() || it.1.is_closing;
        all.filter(has_output).map(|(id, _)| *id).collect()
    }

    // ---- what it is made to be

    /// Makes it a master or a replica. Connections stay, as they do for `REPLICAOF`; a real failover often ends them:
    /// [`disconnect_all`](Self::disconnect_all).
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
    }

    /// Ends all connections.
    pub fn disconnect_all(&mut self) {
        let all: Vec<ConnId> = self.connections.keys().copied().collect();
        for id in all {
            self.disconnect(id);
        }
    }

    /// Has it refuse what a server in this condition refuses.
    pub fn set_condition(&mut self, condition: Condition) {
        self.condition = condition;
    }

    /// Pauses it, or ends a pause: then what lies there is carried out by the next [`tick`](Self::tick).
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        self.pause = pause;
    }

    // ---- replicas, as WAIT counts them

    /// How much was written so far: every command and every key that ran out counts as one.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Says how many replicas there are, and up to which [`offset`](Self::offset) each has what was written. Answers each `WAIT`
    /// for which that is enough.
    pub fn set_replicas(&mut self, offsets: Vec<u64>, now: Micros) {
        self.replicas = offsets;
        self.tick(now);
    }

    pub(super) fn flavour(&self) -> Flavour {
        self.config.flavour
    }

    /// Its clock in ms, as ends of keys are counted.
    pub(super) fn millis(&self) -> i64 {
        self.now.div_euclid(1000)
    }

    /// The connection of this number, which is there while a command of its own is carried out.
    pub(super) fn connection(&mut self, id: ConnId) -> &mut Connection {
        self.connections.entry(id).or_default()
    }

    /// A random number below `limit`, by the server's own seed.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit.max(1) as u64).unwrap_or(0)
    }
}
