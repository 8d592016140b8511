//! Many locks at once: renewals, split by the nodes that have their slots, and listings, which go over all nodes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join3};
use redis::Value;
use tokio::time::Instant;

use super::Cluster;
use crate::error::Error;
use crate::lock_info::LockInfo;
use crate::name::LockId;
use crate::store::redis::config::Address;
use crate::store::redis::exchange::{Looking, RenewingOne, Rounds};
use crate::store::redis::keys::Keys;
use crate::store::redis::node::Node;
use crate::store::redis::redirection::{Redirection, Stop};
use crate::store::redis::route::ownership;
use crate::store::redis::wire::{self, Sharing};
use crate::store::{Cursor, Failure, LateRenewals, Ownership, Page, Renewal, Renewed};

/// A listing is begun anew no more often than this, in a cluster whose slots move all the time.
const MOST_PASSES: u32 = 3;

impl Cluster {
    /// Extends many leases, each where its slot is.
    pub(in crate::store::redis) async fn renew(
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
            let one = RenewingOne::new(&self.config, &renewals[at]);
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

    /// Looks at one lock. While its slot is on its way, its key and its queue may be at different nodes, or nowhere: each is
    /// looked for by itself.
    pub(in crate::store::redis) async fn inspect(
        &self,
        lock: &LockId,
    ) -> Result<Option<LockInfo>, Failure> {
        let keys = Keys::new(self.config.prefix(), lock);
        let single = async |words: &[&str]| self.run(Looking::at(words, &keys)).await;
        let (owner, time, waiters) = try_join3(
            single(&["GET", keys.lock()]),
            single(&["PTTL", keys.lock()]),
            single(&["ZCARD", &keys.queue]),
        )
        .await?;
        let found = wire::inspected(&[owner, time, waiters]).map_err(Failure::answered)?;
        match found {
            Some(found) if found.is_shared() => {
                let holders = keys.holders();
                let mut known = Sharing::default();
                let mut rounds = Rounds::new(self.timeout);
                loop {
                    let (first, last) = known.next();
                    let (first, last) = (first.to_string(), last.to_string());
                    let (time, count, next) = try_join3(
                        single(&["TIME"]),
                        single(&["ZCARD", &holders]),
                        single(&["ZRANGE", &holders, &first, &last, "WITHSCORES"]),
                    )
                    .await?;
                    let next = wire::shared_by(&time, &[count, next]);
                    known.extend(next.map_err(Failure::answered)?);
                    if known.is_whole() {
                        break;
                    }
                    rounds.another(self.config.hosts())?;
                }
                Ok(found.shared_by(lock, known))
            }
            found => Ok(found.map(|found| found.of(lock))),
        }
    }

    /// A page of a listing.
    pub(in crate::store::redis) async fn page(
        &self,
        app_id: &Arc<str>,
        pattern: &str,
        cursor: &Cursor,
    ) -> Result<Page, Failure> {
        if cursor.servers.is_none() {
            self.refresh().await?;
        }
        let (owners, moves) = {
            let map = self.read();
            let begun = cursor.servers.is_some().then_some(cursor.moves);
            (map.owners(), begun.unwrap_or(map.moves()))
        };
        let all = || owners.iter().map(|node| node.address.to_string()).collect();
        let mut servers: Vec<String> = cursor.servers.clone().unwrap_or_else(all);
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
            locks.extend(self.inspect(&id).await?);
        }
        if page.at == 0 {
            servers.pop();
        }
        let passes = cursor.passes;
        let next = if !servers.is_empty() {
            Some(Cursor {
                at: page.at,
                servers: Some(servers),
                moves,
                passes,
            })
        } else if passes < MOST_PASSES && self.moves().await? != moves {
            // Some of them may have gone to nodes that had been asked before.
            let passes = passes + 1;
            Some(Cursor {
                passes,
                ..Cursor::default()
            })
        } else {
            None
        };
        Ok(Page { locks, next })
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
