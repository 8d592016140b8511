//! The store on one Redis or Valkey server. The only module that knows the `redis` crate.

mod config;
mod diagnose;
mod exchange;
mod failure;
mod keys;
mod line;
mod link;
mod pool;
mod reply;
mod rights;
mod socket;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use redis::Pipeline;

use self::config::Config;
use self::exchange::{Asking, Exchange, Releasing, Step, no_script};
use self::keys::Keys;
use self::line::Line;
use self::link::{Connection, Link};
use self::pool::{Blocking, Pool};
use self::wire::{Answer, By};
use super::{
    Ask, Asked, BoxFuture, Failure, LineStore, Listener, Ownership, Page, Releaser, Renewal, Store,
};
use crate::clock::Moment;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result as CoreResult};
use crate::lock_info::LockInfo;
use crate::name::LockId;

/// Renewals sent as one pipeline: enough to make the syscall cheap, few enough to answer soon.
const RENEWALS_PER_PIPELINE: usize = 256;

pub(crate) struct RedisStore {
    config: Config,
    link: Arc<Link>,
    pool: Pool,
    client_id: Arc<str>,
    timeout: Duration,
}

impl RedisStore {
    /// A store at `url`; nothing is connected yet.
    pub(crate) fn new(
        url: &str,
        client_id: Arc<str>,
        timeout: Duration,
        listener: Listener,
    ) -> CoreResult<Self> {
        let config = Config::parse(url)?;
        wire::prepare();
        Ok(Self {
            link: Link::new(config.clone(), client_id.clone(), timeout, listener),
            pool: Pool::new(config.clone(), timeout),
            config,
            client_id,
            timeout,
        })
    }

    /// Runs an exchange on the shared connection.
    async fn run<E: Exchange>(
        &self,
        connection: &Connection,
        mut exchange: E,
    ) -> Result<E::Output, Failure> {
        loop {
            let sent = Moment::now();
            let mut request = redis::pipe();
            exchange.request(&mut request);
            let replies = self.send(connection, &request).await?;
            if let Step::Done(result) = exchange.on_replies(&replies, sent) {
                if let Some(at) = exchange.seeded() {
                    connection.set_seeded(at);
                }
                return result;
            }
        }
    }

    /// Runs an exchange in the caller's thread on an idle connection, if there is one.
    fn run_blocking<E: Exchange>(
        &self,
        exchange: impl FnOnce(&Blocking) -> E,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<E::Output, Failure>> {
        let mut connection = self.pool.checkout()?;
        let mut exchange = exchange(&connection);
        loop {
            let sent = Moment::now();
            match connection.exchange(&self.pool, &exchange, interrupted) {
                Ok(replies) => {
                    if let Step::Done(result) = exchange.on_replies(&replies, sent) {
                        if let Some(at) = exchange.seeded() {
                            connection.set_seeded(at);
                        }
                        self.pool.put_back(connection);
                        return Some(result);
                    }
                }
                Err(failure) => {
                    // What broke this connection probably broke the idle ones too.
                    drop(connection);
                    self.pool.clear();
                    return Some(Err(failure));
                }
            }
        }
    }

    async fn send(
        &self,
        connection: &Connection,
        pipeline: &Pipeline,
    ) -> Result<Vec<redis::Value>, Failure> {
        self.link.exchange(connection, pipeline, self.timeout).await
    }

    async fn page(&self, app_id: &Arc<str>, pattern: &str, cursor: u64) -> Result<Page, Failure> {
        let connection = self.link.connection().await?;
        let glob = keys::scan_pattern(app_id, pattern);
        let replies = self.send(&connection, &wire::scan(cursor, &glob)).await?;
        let (next, found) = wire::scanned(&replies).map_err(answered)?;
        let prefix = keys::name_prefix(app_id);
        let ids: Vec<LockId> = found
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .filter(|name| !name.contains("||"))
            .map(|name| LockId::of_key(app_id.clone(), name))
            .collect();
        let mut locks = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            let keys: Vec<Keys> = ids.iter().map(Keys::new).collect();
            let replies = self.send(&connection, &wire::inspect(keys.iter())).await?;
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
        lock: &'a LockId,
        owner: &'a Arc<str>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            let seeded = connection.is_seeded();
            let asking = Asking::new(lock, owner, ttl, &self.client_id, ask, seeded);
            self.run(&connection, asking).await
        })
    }

    fn release<'a>(
        &'a self,
        lock: &'a LockId,
        releaser: Releaser,
    ) -> BoxFuture<'a, Result<Ownership, Failure>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            let releasing = Releasing::new(lock, releaser, &self.client_id);
            self.run(&connection, releasing).await
        })
    }

    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Result<Ownership, Failure>>, Failure>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            let mut results = Vec::with_capacity(renewals.len());
            for renewals in renewals.chunks(RENEWALS_PER_PIPELINE) {
                let keys: Vec<String> = renewals
                    .iter()
                    .map(|renewal| keys::lock_key(&renewal.lock))
                    .collect();
                let mut by = By::Hash;
                let replies = loop {
                    let each = keys
                        .iter()
                        .zip(renewals)
                        .map(|(key, renewal)| (key.as_str(), &*renewal.owner, renewal.ttl));
                    let request = wire::renew(by, each);
                    let replies = self.link.exchange(&connection, &request, timeout).await?;
                    let unknown = replies
                        .iter()
                        .any(|reply| matches!(wire::renewed(reply), Answer::NoScript));
                    if !unknown || by == By::Text {
                        break replies;
                    }
                    by = By::Text;
                };
                results.extend(replies.iter().map(|reply| match wire::renewed(reply) {
                    Answer::Ok(ownership) => Ok(ownership),
                    Answer::NoScript => Err(answered(no_script())),
                    Answer::Err(error) => Err(answered(error)),
                }));
            }
            Ok(results)
        })
    }

    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>> {
        Box::pin(async move {
            let keys = Keys::new(lock);
            let connection = self.link.connection().await?;
            let replies = self
                .send(&connection, &wire::inspect(std::iter::once(&keys)))
                .await?;
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

    fn epoch(&self) -> u64 {
        self.link.epoch()
    }

    fn reconnects(&self) -> u64 {
        self.link.epoch().saturating_sub(1)
    }

    fn take_blocking(
        &self,
        lock: &LockId,
        owner: &Arc<str>,
        ttl: Duration,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        self.run_blocking(
            |connection| {
                let seeded = connection.is_seeded();
                Asking::new(lock, owner, ttl, &self.client_id, Ask::Take, seeded)
            },
            interrupted,
        )
    }

    fn release_blocking(
        &self,
        lock: &LockId,
        owner: &Arc<str>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        self.run_blocking(
            |_| Releasing::new(lock, Releaser::Own(owner.clone()), &self.client_id),
            interrupted,
        )
    }

    fn has_own_connections(&self) -> bool {
        self.pool.is_possible()
    }

    fn open_blocking(&self) {
        if let Err(failure) = self.pool.open() {
            tracing::debug!(target: "leaselock", error = %failure.error, "no connection for blocking calls");
        }
    }

    fn open_line(&self) -> Option<Result<Box<dyn LineStore>, Failure>> {
        match self.pool.connect() {
            Ok(Some(socket)) => {
                Some(Line::new(socket, &self.client_id).map(|line| Box::new(line) as _))
            }
            Ok(None) => None,
            Err(failure) => Some(Err(failure)),
        }
    }

    fn diagnose<'a>(&'a self, app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>> {
        Box::pin(self.look(app_id))
    }

    fn address(&self) -> String {
        self.link.address()
    }

    fn close(&self) {
        self.link.close();
        self.pool.clear();
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

/// TLS needs one provider of cryptography for the whole process; a program that chose its own keeps it.
fn install_crypto() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
