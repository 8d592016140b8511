//! What a client needs of a store, and nothing of how a store does its work.
//!
//! A store speaks of owners: an owner is unique to one lease, so every operation may be repeated, and a repeat after
//! a lost reply finds its own first success.

pub(crate) mod embedded;
mod events;
mod fate;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod quick;
pub(crate) mod redis;
mod requests;
// They are where the other tests are, and need what only this crate sees.
#[cfg(test)]
#[path = "../../tests/stores/mod.rs"]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::access::ServerAccess;
use crate::claim::Claim;
use crate::diagnosis::Diagnosis;
use crate::error::Error;
use crate::lock_info::LockInfo;
use crate::name::LockId;

pub(crate) use self::events::{Event, Grant, Host, Listener, Scope, Spawn};
pub(crate) use self::fate::Failure;
pub(crate) use self::quick::{AtOnce, LineDone, LineStore, Quick};
pub(crate) use self::requests::{
    Ask, Asked, Cursor, LateRenewals, Ownership, Page, Queued, Queueing, Releaser, Renewal, Renewed,
};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How commands for a lock go to the store just now; to be compared, and nothing else. What is sent under different standings
/// may overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing(u64);

impl Standing {
    /// The standing that lasts as long as `number` stays the same.
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

/// Where locks are kept. Each method is one exchange with the store, and safe to repeat. A command whose
/// future is dropped may or may not be carried out, but nothing sent later for its owner overtakes it while
/// [`standing`](Self::standing) stays the same.
pub(crate) trait Store: Send + Sync {
    /// Asks for a name. Who queues for it is told of events from then on, until a [`Event::Reset`] for the name.
    fn ask<'a>(
        &'a self,
        claim: &'a Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>>;

    /// Gives a name back, or takes a waiter out of the queue.
    fn release(&self, releaser: Releaser) -> BoxFuture<'_, Result<Ownership, Failure>>;

    /// Extends many leases at once, waiting for the answers up to `limit`. Each has a result of its own; the outer failure
    /// is one of them all.
    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        limit: Duration,
    ) -> BoxFuture<'a, Result<Renewed, Failure>>;

    /// All who hold a name, as the store has them; nobody where it is free.
    fn holders<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Vec<Arc<[u8]>>, Failure>> {
        Box::pin(async {
            let found = self.inspect(lock).await?;
            let holders = found.into_iter().flat_map(|found| found.holders);
            Ok(holders
                .map(|holder| holder.owner.into_bytes().into())
                .collect())
        })
    }

    /// Looks at one name.
    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>>;

    /// A page of the names of `app_id` that match `pattern`.
    fn list<'a>(
        &'a self,
        app_id: &'a Arc<str>,
        pattern: &'a str,
        cursor: &'a Cursor,
    ) -> BoxFuture<'a, Result<Page, Failure>>;

    /// Whether a command may still be carried out after later ones of its owner, so that a waiter who has left is granted a
    /// name.
    fn may_be_late(&self) -> bool {
        true
    }

    /// Whether the lease of a grant counts as it is; else it begins when its waiter has claimed it.
    fn grants_count(&self) -> bool {
        true
    }

    /// Whether another server may take the place of the one that has the locks now, of which [`Event::Succeeded`] tells.
    fn may_be_succeeded(&self) -> bool {
        false
    }

    /// A lease on the name was left to its TTL: whoever waits for it is to have it before this client takes it again.
    fn left_behind(&self, _lock: &LockId) {}

    /// The standing of the connection that commands for the lock go by; before one is made, the standing of the first.
    fn standing(&self, lock: &LockId) -> Standing;

    /// A lock is held from now on: where the store has to find out by itself that it is elsewhere now, it begins to.
    fn watch(&self) {}

    /// How often a connection was lost and made again.
    fn reconnects(&self) -> u64;

    /// The short ways to the store, where it has such.
    fn quick(&self) -> Option<&dyn Quick> {
        None
    }

    /// What the store shows of itself, for whoever asks whether it can keep the promises. Changes nothing.
    fn diagnose<'a>(&'a self, app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>>;

    /// For messages: where the store is, without credentials.
    fn address(&self) -> String;

    /// Ends every connection.
    fn close(&self);
}

/// The store at `url`; nothing is connected yet.
pub(crate) fn open(
    url: &str,
    access: ServerAccess,
    client_id: Arc<str>,
    timeout: Duration,
    host: Host,
) -> crate::error::Result<Box<dyn Store>> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix"
        | "redis+sentinel" | "rediss+sentinel" | "valkey+sentinel" | "valkeys+sentinel"
        | "redis+cluster" | "rediss+cluster" | "valkey+cluster" | "valkeys+cluster" => {
            let store = redis::RedisStore::new(url, access, client_id, timeout, host)?;
            Ok(Box::new(store))
        }
        "file" | "memory" => {
            access.refuse_all(scheme)?;
            let store = embedded::EmbeddedStore::new(url, client_id, timeout, host.listener)?;
            Ok(Box::new(store))
        }
        _ => Err(Error::invalid(
            "the URL has no scheme that is known here; use redis://host:port, rediss:// for TLS, unix:/path, \
             redis+sentinel://host,host/service, redis+cluster://host,host, \
             file:path.db for the processes of one machine, or memory:NAME for one process",
        )),
    }
}
