//! A cluster: which node has a lock's slot, and what to do while that changes. A node that has not got a slot carries out
//! nothing, so what it refuses may be sent again as it is.

mod many;
mod map;
mod refreshing;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::map::Map;
pub(super) use self::map::SlotSet;
use self::refreshing::Refreshing;
use super::config::{Address, Config};
use super::connect::Server;
use super::contended::Contended;
use super::exchange::Exchange;
use super::health::Health;
use super::locator::Fixed;
use super::node::Node;
use super::redirection::{Redirection, Stop};
use super::running::run;
use crate::backoff::{jitter, shuffle};
use crate::error::Error;
use crate::store::{Event, Failure, Host, Listener, Spawn};

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
    /// Of the connections that are made only to ask who has which slot.
    health: Health,
    /// How often a connection was given up, or a slot went to another node.
    changes: AtomicU64,
    /// Told when slots have gone to other nodes.
    moved: Notify,
    /// Slots that have, of which waiters and leases are still to be told.
    untold: Mutex<Option<SlotSet>>,
    /// How often connections were made again to nodes that have gone, or in place of theirs.
    reconnects_of_gone: AtomicU64,
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
            health: Health::new(timeout),
            changes: AtomicU64::new(1),
            moved: Notify::new(),
            untold: Mutex::default(),
            reconnects_of_gone: AtomicU64::new(0),
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
        let map = self.read();
        let nodes = map.nodes().map(|node| node.link.reconnects());
        // Of those who have gone while the map is held: neither twice nor not at all.
        nodes.sum::<u64>() + self.reconnects_of_gone.load(Ordering::Relaxed)
    }

    /// The node that has `slot`, as far as is known.
    pub(super) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        self.read().owner(slot)
    }

    /// The nodes that are known, of which some may have no slot.
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
            let is_asking = asking.take().is_some();
            node.used.add(slot);
            let connection = tokio::select! {
                biased;
                connection = node.link.connection() => connection,
                // It may take long to find out that nobody is there.
                () = self.moved_from(slot, &node), if !is_asking => continue,
            };
            let asked = match connection {
                Ok(connection) => run(&node.link, &connection, &mut exchange, is_asking).await,
                Err(failure) => Err(failure.into()),
            };
            let stop = match asked {
                Ok(output) => return Ok(output),
                Err(stop) => stop,
            };
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
                    return Err(self.explained(&node, stop.into_failure()));
                }
                Stop::Elsewhere(Redirection::TryAgain(_)) => {}
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

    /// Why a node could not be asked; one that was never reached may not be reachable where it says it is.
    fn explained(&self, node: &Node, failure: Failure) -> Failure {
        if !failure.is_unsent()
            || node.link.was_made()
            || self.config.endpoints().contains(&node.address)
        {
            return failure;
        }
        Failure::unsent(Error::unavailable(format!(
            "{}; that is the address which the cluster announces (cluster-announce-ip, cluster-announce-hostname): if it \
             cannot be reached from here, say where the node is with address_map",
            failure.error
        )))
    }

    /// Completes when `slot` is at another node than this one.
    async fn moved_from(&self, slot: u16, node: &Arc<Node>) {
        loop {
            let moved = self.moved.notified();
            if !self.node(slot).is_some_and(|it| Arc::ptr_eq(&it, node)) {
                return;
            }
            moved.await;
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
        let scope = SlotSet::scope(used.clone(), self.config.prefix());
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
        let node = Node::new(server, address, self.client_id.clone(), host, scope, used);
        if self.closed.load(Ordering::Acquire) {
            // Whoever closes has seen all nodes that there were before.
            node.close();
        }
        node
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

    /// Ends every connection for good.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let nodes = {
            let mut map = self.write();
            let nodes = map.take_all();
            let made = nodes.iter().map(|node| node.link.reconnects());
            self.reconnects_of_gone
                .fetch_add(made.sum(), Ordering::Relaxed);
            nodes
        };
        for node in nodes {
            node.close();
        }
    }
}
