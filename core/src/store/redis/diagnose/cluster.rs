//! A cluster, looked at: who has which slots, and each server that has some.

use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::reading::{look, text};
use crate::diagnosis::{ClusterFacts, Diagnosis, Look, PrimaryFacts};
use crate::store::Failure;
use crate::store::redis::RedisStore;
use crate::store::redis::config::Address;
use crate::store::redis::slots::SLOTS;

type Slots = RangeInclusive<u16>;

/// A primary as the cluster tells of it.
struct Shard {
    primary: Address,
    replicas: Vec<Address>,
    slots: Vec<Slots>,
}

impl RedisStore {
    pub(super) async fn look_at_cluster(&self, app_id: &Arc<str>) -> Result<Diagnosis, Failure> {
        let seeds = self.config.endpoints();
        let told = match self.shards().await? {
            Ok(shards) => Ok(shards),
            Err(refusal) if refusal.code == "NOPERM" => Err(refusal),
            // Whoever looks for a lock is told why nobody is found.
            Err(_) => {
                self.route.any_link().await?;
                self.shards().await?
            }
        };
        let unowned = told.as_ref().map(|shards| unowned(shards));
        let unowned = unowned.map_err(Clone::clone);
        let shards = told.unwrap_or_else(|_| {
            let alone = |seed: &Address| Shard {
                primary: seed.clone(),
                replicas: Vec::new(),
                slots: Vec::new(),
            };
            seeds.iter().map(alone).collect()
        });
        let primaries = shards.into_iter().map(async |shard| {
            let has = |slot| shard.slots.iter().any(|slots| slots.contains(&slot));
            let look = async |server: super::Examined| server.facts(self, app_id, has).await;
            PrimaryFacts {
                server: self.reach(&self.config, &shard.primary, look).await,
                replicas: self.reach_all(&shard.replicas).await,
                slots: shard.slots,
            }
        });
        Ok(Diagnosis::Cluster(Box::new(ClusterFacts {
            address: self.config.hosts(),
            primaries: join_all(primaries).await,
            unowned,
        })))
    }

    /// Who has which slots, as one of the hosts says that the URL names; or why none of those that can be reached does.
    async fn shards(&self) -> Result<Look<Vec<Shard>>, Failure> {
        let asked = self.config.endpoints().iter().map(async |seed| {
            let server = self.open(&self.config, seed).await?;
            let told = server.ask(&["CLUSTER", "SLOTS"]).await?;
            Ok(look(&told, |rows| shards(rows, seed)))
        });
        let asked: Vec<Result<_, Failure>> = join_all(asked).await;
        let failed = asked.iter().find_map(|it| it.as_ref().err().cloned());
        let told = asked.into_iter().flatten();
        // One that is not in the cluster knows itself alone.
        let told = told.max_by_key(|told| told.as_ref().map_or(0, |shards| shards.len() + 1));
        match (told, failed) {
            (Some(told), _) => Ok(told),
            (None, Some(failure)) => Err(failure),
            (None, None) => unreachable!("a URL names a host"),
        }
    }
}

/// The rows of `CLUSTER SLOTS`, by primary: first and last slot, then nodes, the primary first, each with host, port and more.
fn shards(rows: &Value, asked: &Address) -> Option<Vec<Shard>> {
    let Value::Array(rows) = rows else {
        return None;
    };
    let mut shards: Vec<Shard> = Vec::new();
    for row in rows {
        let Value::Array(row) = row else { return None };
        let [Value::Int(first), Value::Int(last), nodes @ ..] = row.as_slice() else {
            return None;
        };
        let slots = u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?;
        let nodes: Option<Vec<_>> = nodes.iter().map(|node| address(node, asked)).collect();
        let mut nodes = nodes?.into_iter();
        let primary = nodes.next()?;
        match shards.iter_mut().find(|shard| shard.primary == primary) {
            Some(shard) => shard.slots.push(slots),
            None => shards.push(Shard {
                primary,
                replicas: nodes.collect(),
                slots: vec![slots],
            }),
        }
    }
    Some(shards)
}

fn address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(node) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = node.as_slice() else {
        return None;
    };
    let host = text(host).unwrap_or_default();
    Some(Address::announced(&host, u16::try_from(*port).ok()?).beside(asked))
}

/// The slots that no shard has.
fn unowned(shards: &[Shard]) -> Vec<Slots> {
    let mut owned: Vec<&Slots> = shards.iter().flat_map(|shard| &shard.slots).collect();
    owned.sort_by_key(|slots| *slots.start());
    let (mut gaps, mut next) = (Vec::new(), 0_usize);
    for slots in owned {
        let (first, last) = (usize::from(*slots.start()), usize::from(*slots.end()));
        gap(&mut gaps, next, first);
        next = next.max(last + 1);
    }
    gap(&mut gaps, next, SLOTS);
    gaps
}

/// Adds the slots from `begin` up to `end`, if there are any.
fn gap(gaps: &mut Vec<Slots>, begin: usize, end: usize) {
    if begin < end
        && let (Ok(first), Ok(last)) = (u16::try_from(begin), u16::try_from(end - 1))
    {
        gaps.push(first..=last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_nobody_has_are_found() {
        let shard = |slots: Vec<Slots>| Shard {
            primary: Address::announced("a", 1),
            replicas: Vec::new(),
            slots,
        };
        assert_eq!(unowned(&[]), [0..=16_383]);
        assert_eq!(unowned(&[shard(vec![0..=16_383])]), []);
        let two = [shard(vec![9..=9, 100..=16_382]), shard(vec![1..=7])];
        assert_eq!(unowned(&two), [0..=0, 8..=8, 10..=99, 16_383..=16_383]);
    }
}
