//! The store on one Redis or Valkey server. The only module that knows the `redis` crate.

mod config;
mod conn;
mod connect;
mod connection;
mod contended;
mod diagnose;
mod exchange;
mod failure;
mod health;
mod keys;
mod line;
mod link;
mod locator;
mod log_in;
mod pool;
mod reply;
mod rights;
mod running;
mod shortcuts;
mod slots;
mod socket;
mod tls;
mod tls_failure;
mod tracking;
mod unencoded;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::config::Config;
use self::connect::Server;
use self::connection::{Connection, Replied};
use self::exchange::{Asking, Releasing, no_script};
use self::health::Health;
use self::keys::Keys;
use self::link::Link;
use self::locator::Fixed;
use self::pool::Pool;
use self::running::run;
use self::wire::{Answer, By, Packed};
use super::{
    Ask, Asked, BoxFuture, Failure, Host, Ownership, Page, Quick, Releaser, Renewal, Renewed,
    Scope, Standing, Store,
};
use crate::access::ServerAccess;
use crate::claim::Claim;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result as CoreResult};
use crate::lock_info::LockInfo;
use crate::name::LockId;

/// So many bytes of requests are written without waiting for more: the server works on them while the next are made.
/// About half of what 64 callers ask, so that neither side waits for the other (`benches/rows/throughput.py`).
const A_BATCH: usize = 5 * 1024;

/// Renewals sent as one pipeline: enough to make the syscall cheap, few enough to answer soon.
const RENEWALS_PER_PIPELINE: usize = 256;

pub(crate) struct RedisStore {
    server: Arc<Server>,
    link: Arc<Link>,
    pool: Pool,
    client_id: Arc<str>,
    timeout: Duration,
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
        let config = Config::parse(url, access)?;
        let locator = Box::new(Fixed::at(config.endpoint()));
        let server = Server::new(config, locator, Health::new(timeout));
        wire::prepare();
        Ok(Self {
            pool: Pool::new(server.clone(), host.spawn.clone()),
            link: Link::new(server.clone(), client_id.clone(), host, Scope::all()),
            server,
            client_id,
            timeout,
        })
    }

    fn asking(&self, claim: &Arc<Claim>, ttl: Duration, ask: Ask, seeded: bool) -> Asking {
        Asking::new(&self.server, claim, ttl, &self.client_id, ask, seeded)
    }

    fn releasing(&self, releaser: Releaser) -> Releasing {
        Releasing::new(self.server.config.prefix(), releaser, &self.client_id)
    }

    async fn send(&self, connection: &Connection, pack: impl FnOnce(&mut Packed)) -> Replied {
        connection.ask(None, pack).await
    }

    async fn page(&self, app_id: &Arc<str>, pattern: &str, cursor: u64) -> Result<Page, Failure> {
        let connection = self.link.connection().await?;
        let prefix = self.server.config.prefix();
        let glob = prefix.scan_pattern(app_id, pattern);
        let scan = |out: &mut Packed| wire::scan(out, cursor, &glob);
        let (_, replies) = self.send(&connection, scan).await?;
        let (next, found) = wire::scanned(&replies).map_err(answered)?;
        let before = prefix.before_names(app_id);
        let ids: Vec<LockId> = found
            .iter()
            .filter_map(|key| key.strip_prefix(&before))
            .filter(|name| !name.contains("||"))
            .map(|name| LockId::of_key(app_id.clone(), name))
            .collect();
        let mut locks = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            let keys: Vec<Keys> = ids.iter().map(|id| Keys::new(prefix, id)).collect();
            let inspect = |out: &mut Packed| wire::inspect(out, keys.iter());
            let (_, replies) = self.send(&connection, inspect).await?;
            for (id, replies) in ids.iter().zip(replies.chunks(3)) {
                // A key of another type is not a lock of ours, and no reason to end the listing.
                if let Ok(Some(found)) = wire::inspected(replies) {
                    locks.push(lock_info(id, found));
                }
            }
        }
        Ok(Page {
            locks,
            next: (next != 0).then_some(next),
        })
    }
}

impl Store for RedisStore {
    fn ask<'a>(
        &'a self,
        claim: &'a Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            let seeded = connection.is_seeded();
            let asking = self.asking(claim, ttl, ask, seeded);
            let asking = asking.with_watch(&connection.tracking);
            run(&self.link, &connection, asking).await
        })
    }

    fn release(&self, releaser: Releaser) -> BoxFuture<'_, Result<Ownership, Failure>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            run(&self.link, &connection, self.releasing(releaser)).await
        })
    }

    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        limit: Duration,
    ) -> BoxFuture<'a, Result<Renewed, Failure>> {
        Box::pin(async move {
            let connection = tokio::time::timeout(limit, self.link.connection())
                .await
                .unwrap_or_else(|_| Err(connect::unconnected(&self.address(), limit)))?;
            let mut renewed = Renewed::default();
            for renewals in renewals.chunks(RENEWALS_PER_PIPELINE) {
                let prefix = self.server.config.prefix();
                let keys: Vec<String> = renewals
                    .iter()
                    .map(|renewal| prefix.lock_key(&renewal.claim.lock))
                    .collect();
                // By its text the script is known from then on, in one round trip: a first renewal is not to wait for two.
                let mut by = if connection.has_renewed.load(Ordering::Relaxed) {
                    By::Hash
                } else {
                    By::Text
                };
                let replies = loop {
                    let each = keys.iter().map(String::as_str).zip(renewals);
                    // Whatever ends a lease is known from then on when it happens, where the server tells.
                    let arming = connection.tracking.arming();
                    let request = |out: &mut Packed| wire::renew(out, by, arming, each);
                    let (answer, late) = connection.ask_and_late(Some(limit), request).await;
                    let replies = match answer {
                        Ok((_, replies)) => connection.tracking.answered(arming, &replies),
                        Err(failure) if renewed.results.is_empty() && !failure.is_unanswered() => {
                            return Err(failure);
                        }
                        Err(failure) => {
                            // What follows goes by the next connection.
                            renewed.failed = Some(failure);
                            renewed.late = late.map(|late| -> BoxFuture<'static, _> {
                                Box::pin(async move {
                                    let (_, replies) = late.await.ok()?.ok()?;
                                    let replies = arming.all_watched(&replies);
                                    Some(replies.iter().map(ownership).collect())
                                })
                            });
                            return Ok(renewed);
                        }
                    };
                    let unknown = replies
                        .iter()
                        .any(|reply| matches!(wire::renewed(reply), Answer::NoScript));
                    if !unknown || by == By::Text {
                        break replies;
                    }
                    by = By::Text;
                };
                connection.has_renewed.store(true, Ordering::Relaxed);
                renewed.results.extend(replies.iter().map(ownership));
            }
            Ok(renewed)
        })
    }

    fn holder<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<Arc<[u8]>>, Failure>> {
        Box::pin(async move {
            let keys = Keys::new(self.server.config.prefix(), lock);
            let connection = self.link.connection().await?;
            let holder = |out: &mut Packed| wire::holder(out, &keys);
            let (_, replies) = self.send(&connection, holder).await?;
            wire::held_by(&replies).map_err(answered)
        })
    }

    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>> {
        Box::pin(async move {
            let keys = Keys::new(self.server.config.prefix(), lock);
            let connection = self.link.connection().await?;
            let inspect = |out: &mut Packed| wire::inspect(out, std::iter::once(&keys));
            let (_, replies) = self.send(&connection, inspect).await?;
            let found = wire::inspected(&replies).map_err(answered)?;
            Ok(found.map(|found| lock_info(lock, found)))
        })
    }

    fn list<'a>(
        &'a self,
        app_id: &'a Arc<str>,
        pattern: &'a str,
        cursor: u64,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(self.page(app_id, pattern, cursor))
    }

    fn listen(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.link.listen())
    }

    fn left_behind(&self, lock: &LockId) {
        self.server.contended.note(lock);
    }

    fn standing(&self, _lock: &LockId) -> Standing {
        Standing::of(self.link.epoch())
    }

    fn reconnects(&self) -> u64 {
        self.link.epoch().saturating_sub(1)
    }

    fn quick(&self) -> Option<&dyn Quick> {
        Some(self)
    }

    fn diagnose<'a>(&'a self, app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>> {
        Box::pin(self.look(app_id))
    }

    fn address(&self) -> String {
        self.server.locator.address()
    }

    fn close(&self) {
        self.link.close();
        self.pool.close();
    }
}

fn lock_info(id: &LockId, found: wire::Inspected) -> LockInfo {
    LockInfo {
        name: id.name().to_string(),
        owner: found.owner,
        expires_in: found.expires_in,
        waiters: found.waiters,
    }
}

/// The failure of a command that was answered with `error`.
fn answered(error: Error) -> Failure {
    Failure::answered(error)
}

/// What a reply to one renewal says.
fn ownership(reply: &redis::Value) -> Result<Ownership, Failure> {
    match wire::renewed(reply) {
        Answer::Ok(ownership) => Ok(ownership),
        Answer::NoScript => Err(answered(no_script())),
        Answer::Err(error) => Err(answered(error)),
    }
}
