//! One connection, as the server sees it.

use std::collections::BTreeSet;

use super::reply::Resp;
use super::requests::Requests;
use super::transaction::Transaction;
use super::waiting::Waiting;

/// A connection of one server. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(super) u64);

impl ConnId {
    /// The number by which the server tells of it (`CLIENT ID`).
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What the server keeps of a connection.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each by itself
pub(super) struct Connection {
    pub(super) requests: Requests,
    pub(super) output: Vec<u8>,
    /// What is sent behind the reply to the command under way.
    pub(super) later: Vec<u8>,
    pub(super) resp: Resp,
    pub(super) database: usize,
    pub(super) is_logged_in: bool,
    pub(super) name: Vec<u8>,
    pub(super) transaction: Option<Transaction>,
    /// Database and key, and whether the key had run out by then.
    pub(super) watched: Vec<(usize, Vec<u8>, bool)>,
    /// A watched key has changed.
    pub(super) is_touched: bool,
    pub(super) channels: BTreeSet<Vec<u8>>,
    pub(super) patterns: BTreeSet<Vec<u8>>,
    pub(super) shard_channels: BTreeSet<Vec<u8>>,
    pub(super) tracking: Option<Tracking>,
    /// Its next command, or transaction, is to be watched, or just not.
    pub(super) caching: bool,
    pub(super) waiting: Option<Waiting>,
    /// How much had been written with its own last write.
    pub(super) written: u64,
    /// It is closed when all is sent.
    pub(super) is_closing: bool,
}

/// Having the server tell of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracking {
    pub(super) opt_in: bool,
    pub(super) opt_out: bool,
    pub(super) no_loop: bool,
}

impl Connection {
    /// In RESP2 a connection that listens can do little else.
    pub(super) fn only_listens(&self) -> bool {
        self.resp == Resp::Two && self.subscriptions() > 0
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }
}
