//! Which server a lock's commands go to: the one there is, or in a cluster the node that has the lock's slot.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::cluster::Cluster;
use super::config::{Address, Config, Topology};
use super::connect::Server;
use super::contended::Contended;
use super::exchange::{Exchange, Inspecting, no_script};
use super::health::Health;
use super::keys::Prefix;
use super::link::Link;
use super::locator::{Fixed, Locator};
use super::node::Node;
use super::redirection::Stop;
use super::sentinels::Sentinels;
use super::wire::{self, Answer};
use crate::lock_info::LockInfo;
use crate::name::LockId;
use crate::store::{Cursor, Failure, Host, LateRenewals, Ownership, Page, Renewal, Renewed, Scope};

pub(super) enum Route {
    One(Arc<Node>),
    Cluster(Arc<Cluster>),
}

impl Route {
    /// Nothing is connected yet.
    pub(super) fn new(
        config: &Arc<Config>,
        client_id: &Arc<str>,
        timeout: Duration,
        host: Host,
    ) -> Self {
        let mut sentinels = None;
        let locator: Box<dyn Locator> = match config.topology() {
            Topology::Cluster => {
                return Self::Cluster(Cluster::new(config, client_id, timeout, host));
            }
            Topology::One => Box::new(Fixed::at(&config.endpoints()[0])),
            Topology::Sentinel(service) => {
                let spawn = host.spawn.clone();
                let known = Sentinels::new(config, service, client_id, timeout, spawn);
                Box::new(sentinels.insert(known).clone())
            }
        };
        let health = Health::new(timeout);
        let server = Server::new(config.clone(), locator, health, Arc::default());
        let (address, used) = (&config.endpoints()[0], Arc::default());
        let node = Node::new(server, address, client_id.clone(), host, Scope::all(), used);
        if let Some(sentinels) = sentinels {
            sentinels.lead(&node.link);
        }
        Self::One(node)
    }

    pub(super) fn contended(&self) -> &Arc<Contended> {
        match self {
            Self::One(node) => &node.server.contended,
            Self::Cluster(cluster) => cluster.contended(),
        }
    }

    /// Runs an exchange where its keys are.
    pub(super) async fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Failure> {
        match self {
            Self::One(node) => node.run(&mut exchange).await.map_err(Stop::into_failure),
            // It is much larger, and the other is the more frequent.
            Self::Cluster(cluster) => Box::pin(cluster.run(exchange)).await,
        }
    }

    /// The server that has `slot` now, as far as is known.
    pub(super) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        match self {
            Self::One(node) => Some(node.clone()),
            Self::Cluster(cluster) => cluster.node(slot),
        }
    }

    /// The link to the server; of a cluster's nodes that have slots, to any.
    pub(super) async fn any_link(&self) -> Result<Arc<Link>, Failure> {
        match self {
            Self::One(node) => Ok(node.link.clone()),
            Self::Cluster(cluster) => Ok(cluster.any_owner().await?.link.clone()),
        }
    }

    /// Looks at one lock.
    pub(super) async fn inspect(
        &self,
        prefix: &Prefix,
        lock: &LockId,
    ) -> Result<Option<LockInfo>, Failure> {
        let node = match self {
            Self::One(node) => node,
            Self::Cluster(cluster) => return cluster.inspect(lock).await,
        };
        let inspected = node.run(&mut Inspecting::new(prefix, lock)).await;
        inspected.map_err(Stop::into_failure)
    }

    pub(super) async fn renew(
        &self,
        renewals: &[Renewal],
        limit: Duration,
    ) -> Result<Renewed, Failure> {
        let node = match self {
            Self::One(node) => node,
            Self::Cluster(cluster) => return Box::pin(cluster.renew(renewals, limit)).await,
        };
        let renewing = node.renew(renewals, limit, ownership).await?;
        let mut results = renewing.results;
        let answered = results.len();
        if let Some(failure) = renewing.failed {
            results.resize_with(renewals.len(), || Err(failure.clone()));
        }
        let late = renewing.late.map(|results| LateRenewals {
            of: (answered..renewals.len()).collect(),
            results,
        });
        Ok(Renewed {
            results,
            late: late.into_iter().collect(),
        })
    }

    pub(super) async fn page(
        &self,
        app_id: &Arc<str>,
        pattern: &str,
        cursor: &Cursor,
    ) -> Result<Page, Failure> {
        match self {
            Self::One(node) => {
                let page = node.page(app_id, pattern, cursor.at).await?;
                let next = Cursor {
                    at: page.at,
                    ..Cursor::default()
                };
                Ok(Page {
                    locks: page.locks,
                    next: (page.at != 0).then_some(next),
                })
            }
            Self::Cluster(cluster) => cluster.page(app_id, pattern, cursor).await,
        }
    }

    /// A number that changes whenever commands may overtake those that were sent before.
    pub(super) fn standing(&self) -> u64 {
        match self {
            Self::One(node) => node.link.epoch(),
            Self::Cluster(cluster) => cluster.changes(),
        }
    }

    /// A lock is held from now on.
    pub(super) fn watch(&self) {
        match self {
            Self::One(node) => node.server.locator.watch(),
            // Its nodes tell themselves.
            Self::Cluster(_) => {}
        }
    }

    pub(super) fn reconnects(&self) -> u64 {
        match self {
            Self::One(node) => node.link.reconnects(),
            Self::Cluster(cluster) => cluster.reconnects(),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Self::One(node) => node.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }
}

/// What a reply to one renewal says.
pub(super) fn ownership(reply: &Value, _asked: &Address) -> Result<Ownership, Failure> {
    match wire::renewed(reply) {
        Answer::Ok(ownership) => Ok(ownership),
        Answer::NoScript => Err(Failure::answered(no_script())),
        Answer::Err(error) => Err(Failure::answered(error)),
    }
}
