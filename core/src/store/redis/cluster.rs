//! A cluster: which node has a lock's slot, and what to do while that changes. A node that has not got a slot carries out
//! nothing, so what it refuses may be sent again as it is.

mod map;
mod refreshing;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;
use tokio::time::Instant;

use self::map::Map;
pub(super) use self::map::SlotSet;
use self::refreshing::Refreshing;
use super::config::{Address, Config};
use super::connect::Server;
use super::contended::Contended;
use super::exchange::{Exchange, Inspecting, RenewingOne};
use super::health::Health;
use super::locator::Fixed;
use super::node::Node;
use super::redirection::{Redirection, Stop};
use super::route::ownership;
use crate::backoff::{jitter, shuffle};
use crate::error::Error;
use crate::store::{
    Cursor, Event, Failure, Host, LateRenewals, Listener, Ownership, Page, Renewal, Renewed, Scope,
    Spawn,
};

/// A command follows so many redirections at once.
const MAX_HOPS: u32 = 5;
/// What cannot be done just now is tried again after pauses that double, in between these.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// For so long; then whoever asked decides whether to go on.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Cluster {
    config: Arc<Config>,
    client_id: Arc<str>,
    timeout: Duration,
    listener: Listener,
    spawn: Spawn,
    contended: Arc<Contended>,
    map: RwLock<Map>,
    refreshing: Refreshing,
    /// How often a connection was given up, or a slot went to another node.
    changes: Arc<AtomicU64>,
    /// Connections that were lost on nodes that have left since.
    lost_before: AtomicU64,
    closed: AtomicBool,
    this: Weak<Self>,
}

impl Cluster {
    /// Nothing is connected yet, and nothing known of the nodes.
    pub(super) fn new(
        config: &Arc<Config>,
        client_id: &Arc<str>,
        timeout: Duration,
        host: Host,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            config: config.clone(),
            client_id: client_id.clone(),
            timeout,
            listener: host.listener,
            spawn: host.spawn,
            contended: Arc::default(),
            map: RwLock::default(),
            refreshing: Refreshing::default(),
            changes: Arc::new(AtomicU64::new(1)),
            lost_before: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            this: this.clone(),
        })
    }

    pub(super) fn contended(&self) -> &Arc<Contended> {
        &self.contended
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn reconnects(&self) -> u64 {
        let nodes = self.nodes();
        let lost: u64 = nodes.iter().map(|node| node.link.reconnects()).sum();
        lost + self.lost_before.load(Ordering::Relaxed)
    }

    /// The node that has `slot`, as far as is known.
    pub(super) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        self.read().owner(slot)
    }

    /// The nodes that have slots, in the order of their addresses.
    fn nodes(&self) -> Vec<Arc<Node>> {
        self.read().nodes().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Map> {
        self.map
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Map> {
        self.map
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs an exchange on the node that has its slot, wherever that goes meanwhile.
    pub(super) async fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Failure> {
        let slot = exchange.slot();
        let give_up_at = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let (mut asking, mut hops) = (None, 0);
        loop {
            let node = match &asking {
                Some(node) => Arc::clone(node),
                None => self.owner(slot).await?,
            };
            let stop = match node.run(&mut exchange, asking.is_some()).await {
                Ok(output) => return Ok(output),
                Err(stop) => stop,
            };
            asking = None;
            match stop {
                Stop::Elsewhere(Redirection::Moved { slot, to }) if hops < MAX_HOPS => {
                    hops += 1;
                    self.on_moved(slot, to);
                    continue;
                }
                Stop::Elsewhere(Redirection::Ask(to)) if hops < MAX_HOPS => {
                    hops += 1;
                    asking = Some(self.node_at(to));
                    continue;
                }
                // Whether it was carried out only its owner can tell.
                Stop::Failed(failure) if failure.is_unanswered() => {
                    self.refresh_soon();
                    return Err(failure);
                }
                Stop::Failed(failure) if !failure.is_unsent() || !failure.is_temporary() => {
                    return Err(failure);
                }
                stop if Instant::now() + pause >= give_up_at => {
                    self.refresh_soon();
                    return Err(stop.into_failure());
                }
                Stop::Elsewhere(Redirection::Later(_)) => {}
                // The node cannot be reached, or sends us in circles: another may have the slot by now.
                Stop::Failed(_) | Stop::Elsewhere(_) => {
                    hops = 0;
                    let _ = self.refresh().await;
                }
            }
            tokio::time::sleep(pause + jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The node that has `slot`, asked for if nobody knows.
    async fn owner(&self, slot: u16) -> Result<Arc<Node>, Failure> {
        if let Some(node) = self.node(slot) {
            return Ok(node);
        }
        self.refresh().await?;
        self.node(slot).ok_or_else(|| {
            Failure::unsent(Error::unavailable(format!(
                "no node of the cluster has the slot {slot} just now"
            )))
        })
    }

    /// A node that has slots.
    pub(super) async fn any_owner(&self) -> Result<Arc<Node>, Failure> {
        self.refresh().await?;
        let mut owners = self.read().owners();
        shuffle(&mut owners);
        let none = || {
            Failure::unsent(Error::unavailable(
                "no node of the cluster has a slot just now",
            ))
        };
        owners.pop().ok_or_else(none)
    }

    /// The node at an address, which may have no slot yet.
    fn node_at(&self, announced: Address) -> Arc<Node> {
        let address = self.config.reach(announced);
        if let Some(node) = self.read().at(&address) {
            return node;
        }
        self.write()
            .at_or_begin(&address, |address| self.begin(address))
    }

    /// A node of which nothing is known but its address.
    fn begin(&self, address: &Address) -> Arc<Node> {
        let used = Arc::new(SlotSet::default());
        let scope = {
            let (used, config) = (used.clone(), self.config.clone());
            Scope::of(move |lock| used.has(config.prefix().slot_of(lock)))
        };
        let server = Server::new(
            self.config.clone(),
            Box::new(Fixed::at(address)),
            Health::new(self.timeout),
            self.contended.clone(),
        );
        let host = Host {
            listener: self.listener_of(),
            spawn: self.spawn.clone(),
        };
        Node::new(server, address, self.client_id.clone(), host, scope, used)
    }

    /// Hears what a node says, too.
    fn listener_of(&self) -> Listener {
        let (this, listener) = (self.this.clone(), self.listener.clone());
        Arc::new(move |event| {
            if let (Event::Reset { .. }, Some(this)) = (&event, this.upgrade()) {
                // Before anybody is told: who asks again does so under another standing.
                this.changes.fetch_add(1, Ordering::AcqRel);
                this.refresh_soon();
            }
            listener(event);
        })
    }

    // ---- many at once

    pub(super) async fn renew(
        &self,
        renewals: &[Renewal],
        limit: Duration,
    ) -> Result<Renewed, Failure> {
        let until = Instant::now() + limit;
        let prefix = self.config.prefix();
        let slots = renewals.iter().map(|it| prefix.slot_of(&it.claim.lock));
        let slots: Vec<u16> = slots.collect();
        if slots.iter().any(|slot| self.node(*slot).is_none()) {
            // Those whose node is known are not to wait for long for the others.
            let _ = tokio::time::timeout(limit / 2, self.refresh()).await;
        }
        let mut by_node: HashMap<usize, (Arc<Node>, Vec<usize>)> = HashMap::new();
        for (at, slot) in slots.iter().enumerate() {
            if let Some(node) = self.node(*slot) {
                node.used.add(*slot);
                let part = by_node.entry(Arc::as_ptr(&node).addr());
                part.or_insert_with(|| (node, Vec::new())).1.push(at);
            }
        }
        let parts = by_node.into_values().map(|(node, of)| async move {
            let part: Vec<Renewal> = of.iter().map(|at| renewals[*at].clone()).collect();
            (of, node.renew(&part, limit, outcome).await)
        });
        let mut found: HashMap<usize, Result<Ownership, Failure>> =
            HashMap::with_capacity(renewals.len());
        let (mut late, mut again) = (Vec::new(), Vec::new());
        for (of, part) in join_all(parts).await {
            let renewing = match part {
                Ok(renewing) => renewing,
                Err(failure) => {
                    self.refresh_soon();
                    found.extend(of.iter().map(|at| (*at, Err(failure.clone()))));
                    continue;
                }
            };
            let (answered, rest) = of.split_at(renewing.results.len());
            for (at, result) in answered.iter().zip(renewing.results) {
                match result {
                    Ok(ownership) => drop(found.insert(*at, Ok(ownership))),
                    Err(Stop::Failed(failure)) => drop(found.insert(*at, Err(failure))),
                    Err(Stop::Elsewhere(redirection)) => {
                        if let Redirection::Moved { slot, to } = redirection {
                            self.on_moved(slot, to);
                        }
                        again.push(*at);
                    }
                }
            }
            if let Some(failure) = renewing.failed {
                self.refresh_soon();
                found.extend(rest.iter().map(|at| (*at, Err(failure.clone()))));
            }
            if let Some(results) = renewing.late {
                let results = Box::pin(async move {
                    let results = results.await?;
                    let results = results.into_iter();
                    Some(results.map(|it| it.map_err(Stop::into_failure)).collect())
                });
                let of = rest.to_vec();
                late.push(LateRenewals { of, results });
            }
        }
        let again = again.into_iter().map(|at| async move {
            let one = RenewingOne::new(self.config.prefix(), &renewals[at]);
            let renewed = tokio::time::timeout_at(until, self.run(one)).await;
            let late = || Err(Failure::unanswered(no_answer(limit)));
            (at, renewed.unwrap_or_else(|_| late()))
        });
        found.extend(join_all(again).await);
        let results = (0..renewals.len()).map(|at| {
            found
                .remove(&at)
                .unwrap_or_else(|| Err(Failure::unsent(no_answer(limit))))
        });
        Ok(Renewed {
            results: results.collect(),
            late,
        })
    }

    pub(super) async fn page(
        &self,
        app_id: &Arc<str>,
        pattern: &str,
        cursor: &Cursor,
    ) -> Result<Page, Failure> {
        let mut servers = match &cursor.servers {
            Some(servers) => servers.clone(),
            None => {
                self.refresh().await?;
                let owners = self.read().owners();
                owners.iter().map(|node| node.address.to_string()).collect()
            }
        };
        let owners = self.read().owners();
        let node = servers.last().and_then(|address| {
            let mut owners = owners.iter();
            owners.find(|node| node.address.to_string() == *address)
        });
        let Some(node) = node else {
            // It has given its slots to others, some of which were asked before that.
            let next = Some(Cursor::default());
            let locks = Vec::new();
            return Ok(Page { locks, next });
        };
        let page = node.page(app_id, pattern, cursor.at).await;
        let page = page.inspect_err(|_| self.refresh_soon())?;
        let mut locks = page.locks;
        for id in page.elsewhere {
            let inspecting = Inspecting::new(self.config.prefix(), &id);
            locks.extend(self.run(inspecting).await?.map(|found| found.of(&id)));
        }
        if page.at == 0 {
            servers.pop();
        }
        let next = Cursor {
            at: page.at,
            servers: Some(servers),
        };
        let is_over = next.servers.as_ref().is_some_and(Vec::is_empty);
        Ok(Page {
            locks,
            next: (!is_over).then_some(next),
        })
    }

    /// Ends every connection for good.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for node in self.write().take_all() {
            node.close();
        }
    }
}

fn no_answer(limit: Duration) -> Error {
    Error::unavailable(format!("no node of the cluster answered within {limit:?}"))
}

/// What a reply to one renewal says, of which a node may know where it is.
fn outcome(reply: &Value, asked: &Address) -> Result<Ownership, Stop> {
    match Redirection::of(std::slice::from_ref(reply), asked) {
        Some(redirection) => Err(Stop::Elsewhere(redirection)),
        None => ownership(reply, asked).map_err(Stop::Failed),
    }
}
