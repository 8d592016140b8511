//! One server: a client's connections to it, and what goes by them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Value;

use super::cluster::SlotSet;
use super::config::Address;
use super::confirming::{self, Confirming};
use super::connect::{self, Server};
use super::connection::Connection;
use super::exchange::{At, Exchange, Releasing, Rounds, Step};
use super::failure;
use super::keys::Keys;
use super::line::Line;
use super::link::Link;
use super::pool::{self, Blocking, Pool};
use super::redirection::{Redirection, Stop};
use super::running::{go_on, run};
use super::tracking::Arming;
use super::wire::{self, Answer, By, Inspected, Packed, RenewalKeys, Sharing};
use crate::clock::Moment;
use crate::error::Error;
use crate::lock_info::{HOLDERS_LISTED, LockInfo};
use crate::name::LockId;
use crate::store::{AtOnce, BoxFuture, Failure, Host, LineStore, Ownership, Renewal, Scope};

/// Renewals sent as one pipeline: enough to make the syscall cheap, few enough to answer soon.
const RENEWALS_PER_PIPELINE: usize = 256;

/// A client's connections to one server.
pub(super) struct Node {
    pub(super) server: Arc<Server>,
    /// What it is told from others by.
    pub(super) address: Arc<Address>,
    pub(super) link: Arc<Link>,
    pub(super) pool: Pool,
    /// The slots that commands were sent for.
    pub(super) used: Arc<SlotSet>,
}

/// A step of a listing.
pub(super) struct Found {
    pub(super) locks: Vec<LockInfo>,
    /// Locks that have gone to another node since they were found.
    pub(super) elsewhere: Vec<LockId>,
    /// Where to go on; nothing at the end.
    pub(super) at: u64,
}

/// What came of many renewals, each as `R`.
pub(super) struct Renewing<R> {
    /// Of the first of them, in order.
    pub(super) results: Vec<R>,
    /// Why there are no more, if there are fewer than were asked for.
    pub(super) failed: Option<Failure>,
    /// What is known later of those that follow, if their answers come late.
    pub(super) late: Option<BoxFuture<'static, Option<Vec<R>>>>,
}

/// Whether replicas have renewals.
enum Confirmation {
    /// Each pipeline asks for itself, where that is asked for at all.
    Awaited(Option<Confirming>),
    /// They did not have those before, and are not waited for again so soon.
    Failed(Failure),
}

type FewRenewed<E> = (Vec<Result<Ownership, E>>, Result<(), Failure>);
type LateResults<E> = BoxFuture<'static, Option<Vec<Result<Ownership, E>>>>;

/// A renewal counts when replicas have it; that a lease is gone counts at once.
fn confirm<E: From<Failure>>(
    result: Result<Ownership, E>,
    confirmed: &Result<(), Failure>,
) -> Result<Ownership, E> {
    let ownership = result?;
    match confirmed {
        Err(failure) if ownership.is_mine() => Err(failure.clone().into()),
        _ => Ok(ownership),
    }
}

impl Node {
    /// Nothing is connected yet. `scope`: the locks that go by this server.
    pub(super) fn new(
        server: Arc<Server>,
        address: &Address,
        client_id: Arc<str>,
        host: Host,
        scope: Scope,
        used: Arc<SlotSet>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address: Arc::new(address.clone()),
            used,
            pool: Pool::new(server.clone(), host.spawn.clone()),
            link: Link::new(server.clone(), client_id, host, scope),
            server,
        })
    }

    /// Runs an exchange on the shared connection.
    pub(super) async fn run<E: Exchange>(&self, exchange: &mut E) -> Result<E::Output, Stop> {
        let connection = self.link.connection().await?;
        run(&self.link, &connection, exchange, false).await
    }

    /// Runs an exchange in the caller's thread on an idle connection, if there is one; `None` where nothing was carried out.
    pub(super) fn run_blocking<E: Exchange>(
        &self,
        limit: Option<Duration>,
        exchange: &mut E,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<E::Output, Failure>> {
        let mut connection = self.pool.checkout(self.link.epoch())?;
        self.used.add(exchange.slot());
        exchange.on_connection(At {
            inbox_id: self.link.inbox_id(),
            is_seeded: connection.is_seeded(exchange.slot()),
            tracking: None,
            is_heard: true,
        });
        let patience = self.server.health.patience();
        let limit = limit.map(|limit| limit.min(patience));
        let is_of_cluster = self.link.is_of_cluster();
        let mut is_first = true;
        let mut rounds = Rounds::new(self.server.health.silence());
        loop {
            let started = Moment::now();
            let confirming = exchange
                .sets()
                .and_then(|ttl| self.server.confirming(ttl, limit.unwrap_or(patience)));
            match connection.ask(limit, confirming, interrupted, |out| exchange.request(out)) {
                Ok((sent, replies)) => {
                    let (replies, confirmation) = confirming::split(confirming, &replies);
                    if is_of_cluster
                        && let Some(redirection) = Redirection::of(replies, &connection.address)
                    {
                        self.pool.put_back(connection);
                        if is_first {
                            return None;
                        }
                        let error = Stop::Elsewhere(redirection).into_failure().error;
                        return Some(Err(Failure::unanswered(error)));
                    }
                    if is_of_cluster && let Some(failure) = failure::of_half_a_script(replies) {
                        self.pool.put_back(connection);
                        return Some(Err(failure));
                    }
                    is_first = false;
                    if let Step::Done(result) = exchange.on_replies(replies, sent) {
                        if let Some(at) = exchange.seeded() {
                            connection.set_seeded(exchange.slot(), at);
                        }
                        self.pool.put_back(connection);
                        return Some(confirming::judged::<E>(result, confirmation));
                    }
                    if let Err(failure) = rounds.another(&connection.address) {
                        self.pool.put_back(connection);
                        return Some(Err(failure));
                    }
                }
                Err(failure) => {
                    self.on_broken(connection, started, patience, &failure);
                    return Some(Err(failure));
                }
            }
        }
    }

    /// What broke one connection probably broke the others too.
    fn on_broken(
        &self,
        connection: Blocking,
        started: Moment,
        patience: Duration,
        failure: &Failure,
    ) {
        drop(connection);
        self.pool.clear();
        let waited = Moment::now().since(started);
        // A short wait that has passed says nothing about the network.
        if failure.is_unanswered() && waited + pool::INTERRUPT_CHECK >= patience {
            self.link.doubt(waited);
        }
    }

    /// Releases for a caller after whom perhaps nothing runs any more.
    pub(super) fn release_at_once(&self, mut releasing: Releasing) -> AtOnce {
        releasing.on_connection(At {
            inbox_id: self.link.inbox_id(),
            is_seeded: false,
            tracking: None,
            is_heard: false,
        });
        // Nobody may be left to send the script's text when the server does not know its hash.
        if let Some(connection) = self.link.live() {
            if !connection.has_released.load(Ordering::Relaxed) {
                releasing = releasing.by_text();
            }
            let begun = connection.begin_at_once(|out| releasing.request(out));
            if begun.is_some() {
                let link = self.link.clone();
                return AtOnce::Begun(Box::pin(async move {
                    let answer =
                        go_on(&link, &connection, &mut releasing, false, (begun, None)).await;
                    if answer.is_ok() {
                        connection.has_released.store(true, Ordering::Relaxed);
                    }
                    answer.map_err(Stop::into_failure)
                }));
            }
        }
        releasing = releasing.by_text();
        let sent = match self.link.orphan() {
            Some(connection) => connection.send_unheard(|out| releasing.request(out)),
            None => self
                .pool
                .checkout(self.link.epoch())
                .is_some_and(|connection| connection.send_unheard(|out| releasing.request(out))),
        };
        if sent { AtOnce::Sent } else { AtOnce::Unsent }
    }

    /// Opens one more connection for callers who block, if there are too few.
    pub(super) async fn open_blocking(&self) {
        if let Err(failure) = self.pool.open(&self.link).await {
            tracing::debug!(target: "leaselock", error = %failure.error, "no connection for blocking calls");
        }
    }

    /// Opens a connection for an event loop.
    pub(super) async fn open_line(&self) -> Result<Box<dyn LineStore>, Failure> {
        let (epoch, address) = self.link.whereabouts().await?;
        let (conn, socket) = self.server.connect(&address).await?;
        let socket = Arc::new(socket);
        if !self.link.admits(epoch, &address, &socket) {
            return Err(Failure::unsent(Error::unavailable(format!(
                "the shared connection to {address} has changed while one beside it was made"
            ))));
        }
        let (server, link) = (self.server.clone(), Arc::downgrade(&self.link));
        let (opened, inbox_id) = ((conn, socket), self.link.inbox_id().clone());
        Ok(Box::new(Line::new(opened, address, server, inbox_id, link)))
    }

    /// Extends many leases, in few pipelines; `read` reads the reply to each.
    pub(super) async fn renew<E: From<Failure> + Send + 'static>(
        &self,
        renewals: &[Renewal],
        limit: Duration,
        read: fn(&Value, &Address) -> Result<Ownership, E>,
    ) -> Result<Renewing<Result<Ownership, E>>, Failure> {
        let connection = tokio::time::timeout(limit, self.link.connection())
            .await
            .unwrap_or_else(|_| {
                let address = self.server.locator.address();
                Err(connect::unconnected(&address, limit))
            })?;
        let mut renewing = Renewing {
            results: Vec::with_capacity(renewals.len()),
            failed: None,
            late: None,
        };
        let shortest = renewals.iter().map(|renewal| renewal.ttl).min();
        let mut confirmation = match shortest {
            Some(ttl) => Confirmation::Awaited(self.server.confirming(ttl, limit)),
            None => return Ok(renewing),
        };
        for renewals in renewals.chunks(RENEWALS_PER_PIPELINE) {
            let few = self.renew_few(&connection, renewals, limit, &confirmation, read);
            match few.await {
                Ok((results, confirmed)) => {
                    renewing.results.extend(results);
                    if let Err(failure) = confirmed {
                        confirmation = Confirmation::Failed(failure);
                    }
                }
                Err((failure, _)) if renewing.results.is_empty() && !failure.is_unanswered() => {
                    return Err(failure);
                }
                Err((failure, late)) => {
                    // What follows goes by the next connection.
                    renewing.failed = Some(failure);
                    renewing.late = late;
                    break;
                }
            }
        }
        Ok(renewing)
    }

    /// One pipeline of renewals, and whether replicas have them.
    async fn renew_few<E: From<Failure> + Send + 'static>(
        &self,
        connection: &Connection,
        renewals: &[Renewal],
        limit: Duration,
        confirmation: &Confirmation,
        read: fn(&Value, &Address) -> Result<Ownership, E>,
    ) -> Result<FewRenewed<E>, (Failure, Option<LateResults<E>>)> {
        let prefix = self.server.config.prefix();
        let keys: Vec<RenewalKeys> = renewals
            .iter()
            .map(|renewal| RenewalKeys::new(prefix, renewal))
            .collect();
        // Whoever shares a lock changes its keys with each renewal: there, watching would tell nothing else.
        let is_watched = keys.iter().all(|keys| keys.holders.is_none());
        // By its text the script is known from then on, in one round trip: a first renewal is not to wait for two.
        let mut by = if connection.has_renewed.load(Ordering::Relaxed) {
            By::Hash
        } else {
            By::Text
        };
        let address = connection.address.clone();
        let confirming = match confirmation {
            Confirmation::Awaited(confirming) => *confirming,
            Confirmation::Failed(_) => None,
        };
        loop {
            let each = keys.iter().zip(renewals);
            // Whatever ends a lease is known from then on when it happens, where the server tells.
            let arming = if is_watched {
                connection.tracking.arming()
            } else {
                Arming::Off
            };
            let request = |out: &mut Packed| wire::renew(out, by, arming, each);
            let asked = connection.ask_and_late(Some(limit), confirming, request);
            let (answer, late) = asked.await;
            let (replies, confirmed) = match answer {
                Ok((_, replies)) => {
                    let (replies, confirmed) = confirming::split(confirming, &replies);
                    (connection.tracking.answered(arming, replies), confirmed)
                }
                Err(failure) => {
                    let late = late.map(|late| -> BoxFuture<'static, _> {
                        Box::pin(async move {
                            let (_, replies) = late.await.ok()?.ok()?;
                            let (replies, confirmed) = confirming::split(confirming, &replies);
                            let replies = arming.all_watched(replies);
                            let results = replies.iter().map(|it| read(it, &address));
                            Some(results.map(|it| confirm(it, &confirmed)).collect())
                        })
                    });
                    return Err((failure, late));
                }
            };
            let unknown = replies
                .iter()
                .any(|reply| matches!(wire::renewed(reply), Answer::NoScript));
            if !unknown || by == By::Text {
                connection.has_renewed.store(true, Ordering::Relaxed);
                let confirmed = match confirmation {
                    Confirmation::Awaited(_) => confirmed,
                    Confirmation::Failed(failure) => Err(failure.clone()),
                };
                let results: Vec<_> = replies.iter().map(|it| read(it, &address)).collect();
                if confirming.is_some()
                    && results.iter().any(|it| matches!(it, Ok(Ownership::Mine)))
                {
                    connection.has_written.store(true, Ordering::Relaxed);
                }
                let wrote = connection.has_written.load(Ordering::Relaxed);
                let confirmed_as = |it: Result<Ownership, E>| match it {
                    // WAIT tells of what was written on its own connection.
                    Ok(Ownership::MineForLonger) if confirming.is_some() && !wrote => {
                        Err(confirming::nothing_written().into())
                    }
                    it => confirm(it, &confirmed),
                };
                let results = results.into_iter().map(confirmed_as).collect();
                return Ok((results, confirmed));
            }
            by = By::Text;
        }
    }

    /// One step of a listing of the locks of `app_id`: those found, and where to go on.
    pub(super) async fn page(
        &self,
        app_id: &Arc<str>,
        pattern: &str,
        cursor: u64,
    ) -> Result<Found, Failure> {
        let connection = self.link.connection().await?;
        let prefix = self.server.config.prefix();
        let glob = prefix.scan_pattern(app_id, pattern);
        let scan = |out: &mut Packed| wire::scan(out, cursor, &glob);
        let (_, replies) = connection.ask(None, scan).await?;
        let (next, found) = wire::scanned(&replies).map_err(Failure::answered)?;
        let before = prefix.before_names(app_id);
        let ids: Vec<LockId> = found
            .iter()
            .filter_map(|key| key.strip_prefix(&before))
            .filter(|name| !name.contains("||"))
            .map(|name| LockId::of_key(app_id.clone(), name))
            .collect();
        let (mut locks, mut elsewhere) = (Vec::with_capacity(ids.len()), Vec::new());
        let mut shared = Vec::new();
        if !ids.is_empty() {
            let keys: Vec<Keys> = ids.iter().map(|id| Keys::new(prefix, id)).collect();
            let inspect = |out: &mut Packed| wire::inspect(out, keys.iter());
            let (_, replies) = connection.ask(None, inspect).await?;
            for ((id, keys), replies) in ids.into_iter().zip(keys).zip(replies.chunks(3)) {
                // A key of another type is not a lock of ours, and no reason to end the listing.
                if let Ok(Some(found)) = wire::inspected(replies) {
                    if found.is_shared() {
                        shared.push((id, keys.holders(), found));
                    } else {
                        locks.push(found.of(&id));
                    }
                } else if Redirection::of(replies, &connection.address).is_some() {
                    elsewhere.push(id);
                }
            }
        }
        // Of each the first few; and of one where the leases of those have ended, more.
        for range in [(0, HOLDERS_LISTED - 1), Sharing::default().next()] {
            let again = self.list_shared(&connection, shared, range, &mut locks, &mut elsewhere);
            shared = again.await?;
        }
        let at = next;
        Ok(Found {
            locks,
            elsewhere,
            at,
        })
    }

    /// Lists locks that are shared, naming their holders in `range`. Returns those of which all in it have ended.
    async fn list_shared(
        &self,
        connection: &Connection,
        shared: Vec<(LockId, String, Inspected)>,
        range: (usize, usize),
        locks: &mut Vec<LockInfo>,
        elsewhere: &mut Vec<LockId>,
    ) -> Result<Vec<(LockId, String, Inspected)>, Failure> {
        let mut again = Vec::new();
        if shared.is_empty() {
            return Ok(again);
        }
        let holders = shared.iter().map(|(_, holders, _)| holders.as_str());
        let sharing = |out: &mut Packed| wire::sharing(out, holders, range);
        let (_, replies) = connection.ask(None, sharing).await?;
        let Some((time, replies)) = replies.split_first() else {
            return Ok(again);
        };
        for ((id, holders, found), replies) in shared.into_iter().zip(replies.chunks(2)) {
            match wire::shared_by(time, replies) {
                Ok(sharing) if sharing.is_of_ended() => again.push((id, holders, found)),
                Ok(sharing) => locks.extend(found.shared_by(&id, sharing)),
                Err(_) if Redirection::of(replies, &connection.address).is_some() => {
                    elsewhere.push(id);
                }
                Err(_) => {}
            }
        }
        Ok(again)
    }

    /// The server has none of our locks any more: what is under way there is still answered.
    pub(super) fn leave(&self) {
        self.link.leave();
        self.pool.close();
    }

    /// Ends every connection for good.
    pub(super) fn close(&self) {
        self.link.close();
        self.pool.close();
    }
}
