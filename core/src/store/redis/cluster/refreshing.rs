//! Asking the nodes of a cluster who has which slot: one at a time, and not too often.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Cluster;
use super::map::{Range, SlotSet};
use crate::backoff::{jitter, shuffle};
use crate::error::{Error, ErrorKind};
use crate::store::redis::config::Address;
use crate::store::redis::connect::Server;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure;
use crate::store::redis::link::Link;
use crate::store::redis::locator::Fixed;
use crate::store::redis::wire::Packed;
use crate::store::{Event, Failure, Host, Scope};
use crate::sync::lock;

/// The nodes are not asked again sooner than this.
const PAUSE: Duration = Duration::from_millis(100);
/// Many clients notice a change at the same time, and need not all ask at once.
const JITTER: Duration = Duration::from_millis(50);
/// While a connection is needed and cannot be made, they are asked again and again, after pauses that double up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// A node that is well answers sooner than this part of the patience that there is with it, and others are not to wait for it.
const PART_OF_PATIENCE: u32 = 2;
/// Slots that go to another node one after the other within this time are told of together.
const TOGETHER: Duration = Duration::from_millis(10);
/// So many nodes without a connection are asked at the same time.
const AT_ONCE: usize = 3;

/// Whose turn it is to ask, and what came of the last time.
#[derive(Default)]
pub(super) struct Refreshing {
    last: Mutex<Option<(Instant, Result<(), Failure>)>>,
    is_due: AtomicBool,
}

/// A refresh that is to come; dropped, it is not any more.
struct Due(std::sync::Weak<Cluster>);

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(cluster) = self.0.upgrade() {
            cluster.refreshing.is_due.store(false, Ordering::Release);
        }
    }
}

/// A connection that ends when nobody waits for its answer any more: another node's may have come first.
struct Ending(Arc<Connection>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Cluster {
    /// Has the nodes asked in the background.
    pub(super) fn refresh_soon(&self) {
        let refreshing = &self.refreshing;
        if self.closed.load(Ordering::Acquire) || refreshing.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let due = Due(self.this.clone());
        (self.spawn)(Box::pin(async move {
            tokio::time::sleep(jitter(JITTER)).await;
            let mut pause = PAUSE;
            loop {
                let Some(cluster) = due.0.upgrade() else {
                    return;
                };
                // Whoever needs a slot tells what is wrong.
                let _ = cluster.refresh().await;
                // Perhaps another node takes over, and nobody tells of it.
                let nodes = cluster.nodes();
                if cluster.closed.load(Ordering::Acquire)
                    || !nodes.iter().any(|node| node.link.is_broken())
                {
                    return;
                }
                drop((nodes, cluster));
                tokio::time::sleep(pause / 2 + jitter(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }));
    }

    /// Asks the nodes; whoever calls meanwhile shares the answer.
    pub(super) async fn refresh(&self) -> Result<(), Failure> {
        let called = Instant::now();
        let mut last = self.refreshing.last.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::unsent(Error::closed()));
        }
        if let Some((begun, outcome)) = &*last {
            if *begun >= called {
                return outcome.clone();
            }
            tokio::time::sleep_until(*begun + PAUSE).await;
        }
        let begun = Instant::now();
        let outcome = self.ask_around().await.map(|ranges| self.set_all(&ranges));
        *last = Some((begun, outcome.clone()));
        outcome
    }

    /// How often slots have gone from one node to another, by what one of the nodes says now.
    pub(super) async fn moves(&self) -> Result<u64, Failure> {
        let ranges = self.ask_around().await?;
        self.set_all(&ranges);
        Ok(self.read().moves())
    }

    fn set_all(&self, ranges: &[Range]) {
        let changed = {
            let mut map = self.write();
            let changed = map.set_all(ranges, |address| self.begin(address));
            let made = changed.gone.iter().map(|node| {
                // Another node's connection takes the place of one that was lost.
                node.link.reconnects() + u64::from(node.link.is_lost())
            });
            self.reconnects_of_gone
                .fetch_add(made.sum(), Ordering::Relaxed);
            changed
        };
        if !changed.moved.is_empty() {
            self.note_change();
            self.tell(changed.moved);
        }
        for node in changed.gone {
            node.leave();
        }
    }

    /// One slot is at another node from now on.
    pub(super) fn on_moved(&self, slot: u16, to: Address) {
        let to = self.config.reach(to);
        let is_news = self
            .write()
            .set_owner(slot, &to, |address| self.begin(address));
        if is_news {
            self.note_change();
            self.tell_soon(slot);
            self.refresh_soon();
        }
    }

    /// Locks go by other nodes from now on.
    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Locks in `slots` go by other nodes.
    fn tell(&self, slots: impl Deref<Target = SlotSet> + Send + Sync + 'static) {
        let scope = SlotSet::scope(slots, self.config.prefix());
        let is_new = true;
        (self.listener)(Event::Reset { scope, is_new });
    }

    /// Tells of one slot together with others: many go at once, and each time all waiters are looked through.
    fn tell_soon(&self, slot: u16) {
        let is_first = {
            let mut untold = lock(&self.untold);
            let is_first = untold.is_none();
            untold.get_or_insert_default().add(slot);
            is_first
        };
        if !is_first {
            return;
        }
        let this = self.this.clone();
        (self.spawn)(Box::pin(async move {
            tokio::time::sleep(TOGETHER).await;
            let Some(this) = this.upgrade() else { return };
            let slots = lock(&this.untold).take();
            if let Some(slots) = slots {
                this.tell(Box::new(slots));
            }
        }));
    }

    /// What one of the nodes says of the slots: first those that there are connections to are asked.
    async fn ask_around(&self) -> Result<Vec<Range>, Failure> {
        let mut failures = Vec::new();
        let mut nodes = self.nodes();
        shuffle(&mut nodes);
        let mut addresses: Vec<Address> = Vec::new();
        for node in &nodes {
            let Some(connection) = node.link.live() else {
                addresses.push((*node.address).clone());
                continue;
            };
            let limit = node.server.health.patience() / PART_OF_PATIENCE;
            match self.ask(&connection, Some(limit)).await {
                Ok(ranges) => return Ok(ranges),
                Err(failure) => failures.push(failure),
            }
        }
        let mut seeds = self.config.endpoints().to_vec();
        shuffle(&mut seeds);
        seeds.retain(|seed| !addresses.contains(seed));
        addresses.append(&mut seeds);
        for few in addresses.chunks(AT_ONCE) {
            let asked = few.iter().map(|address| self.ask_at(address));
            let mut asked: FuturesUnordered<_> = asked.collect();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(ranges) => return Ok(ranges),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        Err(of_all(&failures))
    }

    /// Asks a server on a connection of its own.
    async fn ask_at(&self, address: &Address) -> Result<Vec<Range>, Failure> {
        let server = Server::new(
            self.config.clone(),
            Box::new(Fixed::at(address)),
            self.health.clone(),
            self.contended.clone(),
        );
        let host = Host {
            listener: Arc::new(|_| {}),
            spawn: self.spawn.clone(),
        };
        let link = Link::new(server, self.client_id.clone(), host, Scope::all());
        let connection = Ending(link.connect_apart().await?);
        self.ask(&connection.0, None).await
    }

    async fn ask(
        &self,
        connection: &Connection,
        limit: Option<Duration>,
    ) -> Result<Vec<Range>, Failure> {
        let slots = |out: &mut Packed| out.words(&["CLUSTER", "SLOTS"]);
        let (_, replies) = connection.ask(limit, slots).await?;
        self.ranges(&replies, &connection.address)
    }

    /// Reads what `CLUSTER SLOTS` was answered by the node at `asked`.
    fn ranges(&self, replies: &[Value], asked: &Address) -> Result<Vec<Range>, Failure> {
        let rows = match replies {
            [Value::Array(rows)] => rows,
            [Value::ServerError(error)] => {
                let words = failure::words_of(error);
                let error = if words.contains("cluster support disabled") {
                    Error::new(
                        ErrorKind::StoreRefused,
                        format!(
                            "the server at {asked} is not of a cluster; begin its URL with redis:// (TLS: rediss://)"
                        ),
                    )
                } else {
                    failure::from_server(error)
                };
                return Err(Failure::answered(error));
            }
            other => {
                return Err(Failure::answered(failure::unexpected(
                    "cluster slots",
                    other,
                )));
            }
        };
        let ranges: Option<Vec<Range>> = rows.iter().map(|row| self.range(row, asked)).collect();
        match ranges {
            Some(ranges) if ranges.is_empty() => Err(Failure::answered(Error::unavailable(
                format!("the node at {asked} knows of no node that has slots"),
            ))),
            Some(ranges) => Ok(ranges),
            None => Err(Failure::answered(failure::unexpected(
                "cluster slots",
                replies,
            ))),
        }
    }

    /// A row: first and last slot, then nodes, the primary first, each with host, port and more.
    fn range(&self, row: &Value, asked: &Address) -> Option<Range> {
        let Value::Array(row) = row else { return None };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(primary),
            ..,
        ] = row.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = primary.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => std::str::from_utf8(host).ok()?,
            // The node does not know its own address: it is where it was asked.
            Value::Nil => "",
            _ => return None,
        };
        let announced = Address::announced(host, u16::try_from(*port).ok()?).beside(asked);
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        Some((first, last, self.config.reach(announced)))
    }
}

/// Why nobody told who has which slot: a refusal before all others, since it does not pass.
fn of_all(failures: &[Failure]) -> Failure {
    let refused = failures.iter().find(|failure| !failure.is_temporary());
    if let Some(failure) = refused {
        return Failure::unsent(failure.error.clone());
    }
    let words: Vec<String> = failures
        .iter()
        .map(|failure| failure.error.to_string())
        .collect();
    Failure::unsent(Error::new(
        ErrorKind::StoreUnavailable,
        format!(
            "no node of the cluster says who has which slot: {}",
            words.join("; ")
        ),
    ))
}
