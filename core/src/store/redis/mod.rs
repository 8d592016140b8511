//! The store on Redis or Valkey: one server, the master that sentinels name, or a cluster. The only module that knows the
//! `redis` crate.

mod cluster;
mod config;
mod confirming;
mod conn;
mod connect;
mod connection;
mod contended;
mod diagnose;
mod exchange;
mod failure;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod health;
mod keys;
mod line;
mod link;
mod locator;
mod log_in;
mod node;
mod pool;
mod redirection;
mod reply;
mod rights;
mod route;
mod running;
mod sentinels;
mod shortcuts;
mod slots;
#[cfg_attr(feature = "simulation", path = "simulated_socket.rs")]
mod socket;
mod tls;
mod tls_failure;
mod tracking;
mod unencoded;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use self::config::{Config, Topology};
use self::exchange::{Asking, LookingForHolders, Releasing};
use self::route::Route;
use super::{
    Ask, Asked, BoxFuture, Cursor, Failure, Host, Ownership, Page, Quick, Releaser, Renewal,
    Renewed, Spawn, Standing, Store,
};
use crate::access::ServerAccess;
use crate::claim::Claim;
use crate::diagnosis::Diagnosis;
use crate::error::Result as CoreResult;
use crate::lock_info::LockInfo;
use crate::name::LockId;

/// So many bytes of requests are written without waiting for more: the server works on them while the next are made.
/// About half of what 64 callers ask, so that neither side waits for the other (`benches/rows/throughput.py`).
const A_BATCH: usize = 5 * 1024;

pub(crate) struct RedisStore {
    config: Arc<Config>,
    route: Route,
    client_id: Arc<str>,
    timeout: Duration,
    spawn: Spawn,
}

impl RedisStore {
    /// A store at `url`; nothing is connected yet.
    pub(crate) fn new(
        url: &str,
        access: ServerAccess,
        client_id: Arc<str>,
        timeout: Duration,
        host: Host,
    ) -> CoreResult<Self> {
        let config = Arc::new(Config::parse(url, access)?);
        wire::prepare();
        Ok(Self {
            spawn: host.spawn.clone(),
            route: Route::new(&config, &client_id, timeout, host),
            config,
            client_id,
            timeout,
        })
    }

    fn asking(&self, claim: &Arc<Claim>, ttl: Duration, ask: Ask) -> Asking {
        let (prefix, contended) = (self.config.prefix(), self.route.contended());
        Asking::new(prefix, contended, claim, ttl, ask)
    }

    fn releasing(&self, releaser: Releaser) -> Releasing {
        Releasing::new(self.config.prefix(), releaser)
    }
}

impl Store for RedisStore {
    fn ask<'a>(
        &'a self,
        claim: &'a Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(self.route.run(self.asking(claim, ttl, ask)))
    }

    fn release(&self, releaser: Releaser) -> BoxFuture<'_, Result<Ownership, Failure>> {
        Box::pin(self.route.run(self.releasing(releaser)))
    }

    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        limit: Duration,
    ) -> BoxFuture<'a, Result<Renewed, Failure>> {
        Box::pin(self.route.renew(renewals, limit))
    }

    fn holders<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Vec<Arc<[u8]>>, Failure>> {
        let looking = LookingForHolders::new(self.config.prefix(), lock);
        Box::pin(self.route.run(looking))
    }

    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>> {
        Box::pin(self.route.inspect(self.config.prefix(), lock))
    }

    fn list<'a>(
        &'a self,
        app_id: &'a Arc<str>,
        pattern: &'a str,
        cursor: &'a Cursor,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(self.route.page(app_id, pattern, cursor))
    }

    fn grants_count(&self) -> bool {
        // The script that hands over cannot wait for replicas.
        self.config.replicas() == 0
    }

    fn may_be_succeeded(&self) -> bool {
        matches!(self.config.topology(), Topology::Sentinel(_))
    }

    fn left_behind(&self, lock: &LockId) {
        self.route.contended().note(lock);
    }

    fn standing(&self, _lock: &LockId) -> Standing {
        Standing::of(self.route.standing())
    }

    fn watch(&self) {
        self.route.watch();
    }

    fn reconnects(&self) -> u64 {
        self.route.reconnects()
    }

    fn quick(&self) -> Option<&dyn Quick> {
        Some(self)
    }

    fn diagnose<'a>(&'a self, app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>> {
        Box::pin(self.look(app_id))
    }

    fn address(&self) -> String {
        self.config.address()
    }

    fn close(&self) {
        self.route.close();
    }
}
