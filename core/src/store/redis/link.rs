//! The shared connection: which one is live, made when it is first needed, and again after it was lost or has become
//! suspect.

mod beside;
mod inbox;
mod outcome;
mod pushes;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use self::inbox::Inbox;
use self::outcome::Outcome;
use super::config::{Address, Topology};
use super::confirming::Confirming;
use super::connect::Server;
use super::connection::{self, Connection};
use super::failure;
use super::socket::Socket;
use crate::clock::Moment;
use crate::error::Error;
use crate::store::{Event, Failure, Host, Scope};
use crate::sync::lock;

/// Callers that meet a server that was reached and is the wrong one share its failure for so long.
const MISLED_PAUSE: Duration = Duration::from_millis(250);
/// Whoever needs a connection asks for one again sooner than this.
const WANTED: Duration = Duration::from_secs(3);
/// A suspect connection is replaced no sooner than this after another one was.
const REPLACE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Link {
    server: Arc<Server>,
    client_id: Arc<str>,
    inbox: Inbox,
    host: Host,
    /// The locks that go by this link.
    scope: Scope,
    connections: Mutex<Connections>,
    /// Whose turn it is: to change which connection is the live one, or to tell the news of the live one. Whoever is told may
    /// close the link.
    turn: Mutex<()>,
    /// The number of the newest connection, or a greater one when that has ended.
    epoch: AtomicU64,
    /// How many connections were made.
    made: AtomicU64,
    this: Weak<Self>,
}

#[derive(Default)]
struct Connections {
    live: Option<Arc<Connection>>,
    /// Those that became suspect, and may still answer.
    suspect: Vec<Weak<Connection>>,
    replaced: Option<Moment>,
    /// The last one of a runtime that has ended.
    orphan: Option<Arc<Connection>>,
    /// Who is to be told what comes of the connection that is being made.
    connecting: Option<Arc<Outcome>>,
    /// Where the last one was made, or could not be.
    tried: Option<Arc<Address>>,
    /// Why none is to be made until then.
    failed: Option<(Moment, Failure)>,
    /// How many attempts in a row have failed.
    failures: u32,
    /// The sockets of connections beside the shared one, and where they lead.
    beside: Vec<(Arc<Address>, Weak<Socket>)>,
    /// The server is none of ours any more.
    left: bool,
    closed: bool,
}

type Connected = Result<Arc<Connection>, Failure>;

impl Connections {
    /// Why there are no more.
    fn over(&self) -> Option<Failure> {
        if self.closed {
            return Some(Failure::unsent(Error::closed()));
        }
        let left = || Error::unavailable("the server has left the cluster, or has no slots there");
        self.left.then(|| Failure::unsent(left()))
    }
}

/// The duty to say what came of connecting, discharged also where its task is dropped with its runtime.
struct Connecting {
    link: Weak<Link>,
    outcome: Arc<Outcome>,
}

impl Connecting {
    fn end(&self, connected: Connected) {
        if let Some(link) = self.link.upgrade() {
            let mut connections = lock(&link.connections);
            let is_this = |connecting: &mut Arc<_>| Arc::ptr_eq(connecting, &self.outcome);
            if connections.connecting.take_if(is_this).is_some() {
                connections.failures = match &connected {
                    Ok(_) => 0,
                    Err(_) => connections.failures.saturating_add(1),
                };
                if connected.is_err() {
                    // Where it has gone is to be heard of before the next attempt has failed, too.
                    link.server.locator.watch();
                }
                let failure = connected.as_ref().err().cloned();
                let until = Moment::now() + link.server.locator.pause(connections.failures);
                connections.failed = failure.map(|failure| (until, failure));
            }
        }
        // Unless a suspect one took its place.
        self.outcome.tell_first(connected);
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if !self.outcome.is_told() {
            self.end(Err(Failure::unsent(Error::unavailable(
                "the runtime that was to connect to the server has ended",
            ))));
        }
    }
}

impl Link {
    pub(super) fn new(
        server: Arc<Server>,
        client_id: Arc<str>,
        host: Host,
        scope: Scope,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            inbox: Inbox::new(&server, &client_id),
            server,
            client_id,
            host,
            scope,
            connections: Mutex::default(),
            turn: Mutex::default(),
            epoch: AtomicU64::new(0),
            made: AtomicU64::new(0),
            this: this.clone(),
        })
    }

    /// A number that changes when a connection is made after the first, and when it ends.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire).max(1)
    }

    /// Whether a connection was lost, and none has taken its place yet.
    pub(super) fn is_lost(&self) -> bool {
        lock(&self.connections).live.is_none() && self.was_made()
    }

    /// Whether a connection was lost, and another one was asked for lately, and could not be made yet.
    pub(super) fn is_broken(&self) -> bool {
        let connections = lock(&self.connections);
        let failed = connections.failed.as_ref();
        let is_wanted = connections.connecting.is_some()
            || failed.is_some_and(|(until, _)| Moment::now().since(*until) < WANTED);
        connections.live.is_none() && !connections.left && self.was_made() && is_wanted
    }

    /// Whether there ever was a connection.
    pub(super) fn was_made(&self) -> bool {
        self.made.load(Ordering::Acquire) > 0
    }

    /// Whether nobody is to go by this link any more.
    pub(super) fn has_left(&self) -> bool {
        lock(&self.connections).left
    }

    /// How often a connection was made after the first.
    pub(super) fn reconnects(&self) -> u64 {
        self.made.load(Ordering::Acquire).saturating_sub(1)
    }

    /// The live connection, if there is one.
    pub(super) fn live(&self) -> Option<Arc<Connection>> {
        lock(&self.connections).live.clone()
    }

    /// The connection that a runtime left behind when it ended: what is given back last can still be written there.
    pub(super) fn orphan(&self) -> Option<Arc<Connection>> {
        lock(&self.connections).orphan.clone()
    }

    /// The live connection, made now if there is none. That goes on where its caller gives up: those who come next may be
    /// as impatient.
    pub(super) async fn connection(&self) -> Connected {
        let outcome = {
            let mut connections = lock(&self.connections);
            if let Some(live) = &connections.live {
                return Ok(live.clone());
            }
            if let Some(failure) = connections.over() {
                return Err(failure);
            }
            match (&connections.connecting, &connections.failed) {
                (Some(connecting), _) => connecting.clone(),
                (None, Some((until, failure))) if !until.is_past() => {
                    return Err(failure.clone());
                }
                (None, _) => {
                    let outcome = Arc::<Outcome>::default();
                    connections.connecting = Some(outcome.clone());
                    drop(connections);
                    self.begin_connecting(Connecting {
                        link: self.this.clone(),
                        outcome: outcome.clone(),
                    });
                    outcome
                }
            }
        };
        outcome.heard().await
    }

    fn begin_connecting(&self, connecting: Connecting) {
        let link = self.this.clone();
        (self.host.spawn)(Box::pin(async move {
            if let Some(link) = link.upgrade() {
                let connected = link.connect().await;
                connecting.end(connected);
            }
        }));
    }

    /// Where to connect to, after whatever was there before has ended.
    async fn locate(&self) -> Result<Arc<Address>, Failure> {
        let failed = lock(&self.connections).tried.clone();
        let address = self.server.locator.locate(failed.as_deref()).await?;
        lock(&self.connections).tried = Some(address.clone());
        Ok(address)
    }

    /// Where the live connection leads, or where one would be made, and the number that stands for that.
    pub(super) async fn whereabouts(&self) -> Result<(u64, Arc<Address>), Failure> {
        if let Some(live) = self.live() {
            return Ok((live.epoch, live.address.clone()));
        }
        // In this order: what comes in between is newer than the number.
        let epoch = self.epoch();
        Ok((epoch, self.locate().await?))
    }

    async fn connect(&self) -> Connected {
        let address = self.locate().await?;
        let connected = self.server.connect(&address).await?;
        let connection = {
            let mut connections = lock(&self.connections);
            if let Some(failure) = connections.over() {
                return Err(failure);
            }
            if let Some(live) = &connections.live {
                // The one that was suspect has answered meanwhile.
                return Ok(live.clone());
            }
            // Under the lock: whoever finds out that the server has moved either finds this one live, or is found out here.
            if !self.server.locator.is_current(&address) {
                return Err(Failure::unsent(Error::unavailable(format!(
                    "the server has moved from {address} while a connection to it was made"
                ))));
            }
            let epoch = self.epoch.load(Ordering::Acquire) + 1;
            let connection = Connection::new(epoch, address.clone(), connected);
            self.epoch.store(epoch, Ordering::Release);
            self.made.fetch_add(1, Ordering::AcqRel);
            connections.live = Some(connection.clone());
            connection
        };
        if self.reconnects() > 0 && !self.server.config.is_for_sentinels() {
            tracing::info!(
                target: "leaselock",
                event = "reconnect",
                client = %self.client_id,
                "connected again to {address}"
            );
        }
        self.drive(connection.clone(), self.this.clone());
        Ok(connection)
    }

    /// A connection that is not the shared one, to whatever it is that answers; whoever asked for it ends it.
    pub(super) async fn connect_apart(&self) -> Connected {
        let address = self.server.locator.locate(None).await?;
        let connected = self.server.connect_to_any(&address).await?;
        let connection = Connection::new(0, address, connected);
        self.drive(connection.clone(), Weak::new());
        Ok(connection)
    }

    fn drive(&self, connection: Arc<Connection>, link: Weak<Self>) {
        (self.host.spawn)(Box::pin(connection::drive(connection, link)));
    }

    /// How long the server may be silent: the command time-out.
    pub(super) fn silence(&self) -> Duration {
        self.server.health.silence()
    }

    /// Whether the server is of a cluster.
    pub(super) fn is_of_cluster(&self) -> bool {
        *self.server.config.topology() == Topology::Cluster
    }

    /// What is to be confirmed of a request that sets a lease of `ttl`.
    pub(super) fn confirming(&self, ttl: Duration) -> Option<Confirming> {
        self.server.confirming(ttl, self.server.health.patience())
    }

    // ---- what becomes of a connection

    /// The connection numbered `epoch` has ended. If it was the live one, news may be lost with it.
    pub(super) fn lose(&self, epoch: u64) {
        self.change(true, |connections| {
            self.end_beside(connections, epoch);
            let lost = connections.live.take_if(|live| live.epoch == epoch);
            lost.is_some()
        });
    }

    /// The task of a connection was dropped with its runtime: nothing more is read there, and news is lost. Until the client
    /// goes, too, the server takes the inbox for live: a waiter that did not leave costs the next one a claim window.
    pub(super) fn bereave(&self, connection: &Arc<Connection>) {
        self.change(true, |connections| {
            let lost = connections
                .live
                .take_if(|live| live.epoch == connection.epoch);
            if !connections.closed && lost.is_some() {
                connections.orphan.clone_from(&lost);
            }
            lost.is_some()
        });
    }

    /// The connection is one to the wrong server, by its own words, which may be the wrong one for a while.
    pub(super) fn misled(&self, connection: &Connection, words: &str) {
        self.change(true, |connections| {
            self.end_beside(connections, connection.epoch);
            let lost = connections
                .live
                .take_if(|live| live.epoch == connection.epoch);
            let failure = failure::misled(&connection.address, words);
            let failure = Failure::unsent(failure.error);
            connections.failed = Some((Moment::now() + MISLED_PAUSE, failure));
            lost.is_some()
        });
    }

    /// A request on the connection numbered `epoch` has had no answer for its own limit: a new connection is made by
    /// whoever needs one next, and the old one may still answer what it was asked.
    pub(super) fn suspect(&self, epoch: u64) {
        self.change(true, |connections| {
            let now = Moment::now();
            if connections
                .replaced
                .is_some_and(|at| now.since(at) < REPLACE_PAUSE)
            {
                return false;
            }
            let Some(old) = connections.live.take_if(|live| live.epoch == epoch) else {
                return false;
            };
            connections.replaced = Some(now);
            connections.suspect.retain(|old| old.strong_count() > 0);
            connections.suspect.push(Arc::downgrade(&old));
            old.retire();
            true
        });
    }

    /// A suspect connection has answered. If none has taken its place it serves again: the server was slow, or is in the same
    /// trouble for new connections.
    pub(super) fn reinstate(&self, connection: &Arc<Connection>) {
        // Its leases go on as they are; but news for its waiters was not passed on meanwhile.
        self.change(false, |connections| {
            let newest = connection.epoch == self.epoch.load(Ordering::Acquire);
            if connections.live.is_some() || connections.over().is_some() || !newest {
                return false;
            }
            connection.reinstate();
            connections.live = Some(connection.clone());
            if let Some(connecting) = &connections.connecting {
                connecting.tell(Ok(connection.clone()));
            }
            true
        });
    }

    /// Another connection to the server had no answer for so long. If nothing was heard on the live one either, the network
    /// has probably cut off both.
    pub(super) fn doubt(&self, waited: Duration) {
        let Some(live) = self.live() else { return };
        if live
            .heard()
            .is_some_and(|heard| Moment::now().since(heard) >= waited)
        {
            self.suspect(live.epoch);
        }
    }

    /// Has another connection take the place of one that has nothing wrong: what is under way there is still answered.
    fn replace(&self, connection: &Connection) {
        self.change(true, |connections| {
            let old = connections
                .live
                .take_if(|live| live.epoch == connection.epoch);
            if let Some(old) = &old {
                old.retire();
                // What it still answers does not make it the live one again.
                self.epoch.store(old.epoch + 1, Ordering::Release);
            }
            old.is_some()
        });
    }

    /// The server is none of ours any more, and nobody goes by this link: what is under way there is still answered.
    pub(super) fn leave(&self) {
        let _turn = lock(&self.turn);
        let mut connections = lock(&self.connections);
        connections.left = true;
        // Whoever waits for a connection need not wait until nobody answers.
        if let (Some(connecting), Some(over)) = (connections.connecting.take(), connections.over())
        {
            connecting.tell(Err(over));
        }
        if let Some(live) = connections.live.take() {
            live.retire();
        }
    }

    /// Changes which connection is the live one; whoever listens is told that news may be lost.
    fn change(&self, is_new: bool, change: impl FnOnce(&mut Connections) -> bool) {
        let changed = {
            let _turn = lock(&self.turn);
            change(&mut lock(&self.connections))
        };
        if changed {
            let scope = self.scope.clone();
            (self.host.listener)(Event::Reset { scope, is_new });
        }
    }

    /// Ends every connection for good.
    pub(super) fn close(&self) {
        let mut connections = lock(&self.connections);
        connections.closed = true;
        connections.orphan = None;
        for suspect in connections.suspect.drain(..) {
            if let Some(suspect) = suspect.upgrade() {
                suspect.end();
            }
        }
        if let Some(live) = connections.live.take() {
            live.end();
        }
        drop(connections);
        self.server.locator.close();
    }
}

#[cfg(test)]
mod tests;
