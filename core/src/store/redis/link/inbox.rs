//! Hearing of hand-overs: the channels that a link's connection subscribes to.
//!
//! In a cluster there is one for each slot, sharded: what is published there goes to no other node. The server takes such a
//! subscription back by itself when the slot goes elsewhere. It is never asked to: its reply could not be told from that, and
//! a reply too many or too few would give one command the answer to another. A connection that hears of too many slots is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::Value;

use super::Link;
use crate::clock::Moment;
use crate::error::Error;
use crate::name::fresh_client_id;
use crate::store::Failure;
use crate::store::redis::config::Topology;
use crate::store::redis::connect::Server;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure;
use crate::store::redis::redirection::{Redirection, Stop};
use crate::store::redis::wire::Packed;

/// A connection hears of so many slots before another one takes its place, and no sooner than after so long.
const MANY: usize = 1024;
const REPLACE_PAUSE: Duration = Duration::from_secs(60);

/// The client's inbox at one server, as queues name it.
pub(super) struct Inbox {
    /// On channels without slots.
    plain: Arc<str>,
    /// On those of slots.
    sharded: Option<Arc<str>>,
    /// The server knows no sharded channels: it is older than Redis 7.
    has_no_shards: AtomicBool,
}

impl Inbox {
    pub(super) fn new(server: &Server, client_id: &Arc<str>) -> Self {
        let is_of_cluster = *server.config.topology() == Topology::Cluster;
        Self {
            // All nodes of a cluster pass on what is published without a slot: one inbox each, or all would hear everything.
            plain: if is_of_cluster {
                fresh_client_id().into()
            } else {
                client_id.clone()
            },
            sharded: is_of_cluster.then(|| format!("s{client_id}").into()),
            has_no_shards: AtomicBool::new(false),
        }
    }

    fn is_sharded(&self) -> bool {
        self.sharded.is_some() && !self.has_no_shards.load(Ordering::Relaxed)
    }

    fn id(&self) -> &Arc<str> {
        match &self.sharded {
            Some(sharded) if self.is_sharded() => sharded,
            _ => &self.plain,
        }
    }
}

impl Link {
    /// What names the client's inbox in the queues of this server.
    pub(in crate::store::redis) fn inbox_id(&self) -> &Arc<str> {
        self.inbox.id()
    }

    /// Subscribes to the inbox of `slot` on a connection of this link, once, confirmed.
    pub(in crate::store::redis) async fn listen_on(
        &self,
        connection: &Connection,
        slot: u16,
    ) -> Result<(), Stop> {
        loop {
            let is_sharded = self.inbox.is_sharded();
            // Without slots there is one channel.
            let slot = if is_sharded { slot } else { 0 };
            let subscription = connection.subscription(slot);
            let done = subscription
                .get_or_try_init(|| self.subscribe(connection, slot, is_sharded))
                .await;
            match done {
                Ok(()) => return Ok(()),
                Err(Stop::Failed(_)) if is_sharded != self.inbox.is_sharded() => {}
                Err(stop) => return Err(stop),
            }
        }
    }

    async fn subscribe(
        &self,
        connection: &Connection,
        slot: u16,
        is_sharded: bool,
    ) -> Result<(), Stop> {
        if connection.subscriptions() > MANY && Moment::now().since(connection.made) > REPLACE_PAUSE
        {
            self.replace(connection);
            let error =
                Error::unavailable("the connection is replaced by one that hears of fewer locks");
            return Err(Stop::Failed(Failure::unsent(error)));
        }
        // Whoever waits is to hear where the server goes.
        self.server.locator.watch();
        let prefix = self.server.config.prefix();
        let (verb, channel) = if is_sharded {
            ("SSUBSCRIBE", prefix.inbox_of_slot(&self.client_id, slot))
        } else {
            ("SUBSCRIBE", prefix.inbox(self.inbox.id()))
        };
        // Whoever waits also wants to know when the server is flushed.
        let tracking = &connection.tracking;
        let arming = tracking.arming();
        let subscribe = |out: &mut Packed| {
            arming.begin(out);
            out.words(&[verb, &channel]);
        };
        let (_, replies) = connection.ask(None, subscribe).await?;
        let replies = tracking.begun(arming, &replies);
        if is_sharded && let Some(redirection) = Redirection::of(replies, &connection.address) {
            return Err(Stop::Elsewhere(redirection));
        }
        let Some(Value::ServerError(error)) = replies.first() else {
            return Ok(());
        };
        if is_sharded && failure::is_unknown_command(error) {
            self.inbox.has_no_shards.store(true, Ordering::Relaxed);
        }
        Err(Stop::Failed(Failure::answered(failure::from_server(error))))
    }
}
