//! Leases given back lately, where the store may turn out to have been succeeded by one that has not heard of it: there their
//! locks would be held by nobody until their TTLs end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::claim::Claim;
use crate::clock::Moment;
use crate::limit::Limit;
use crate::name::LockId;
use crate::store::Scope;
use crate::sync::lock;

/// Where no sentinel is in reach, a master that was succeeded while it lived tells its clients about eleven seconds later.
const LATELY: Duration = Duration::from_secs(15);
/// No more are remembered than these.
const MOST: usize = 8192;

/// The claims of leases that were given back lately, the oldest first.
#[derive(Default)]
pub(crate) struct Released(Mutex<Records>);

/// What is needed to make the claims anew. Kept as they are, each would be freed when the processor's caches have long
/// forgotten it: with 64 in flight that was a seventh of a client's CPU time.
#[derive(Default)]
struct Records {
    records: VecDeque<Record>,
    /// The name and the owner of each.
    texts: VecDeque<u8>,
}

struct Record {
    at: Moment,
    app_id: Arc<str>,
    name: usize,
    owner: usize,
    limit: Limit,
}

impl Record {
    fn length(&self) -> usize {
        self.name + self.owner
    }
}

impl Records {
    fn push(&mut self, claim: &Claim, at: Moment) {
        let (name, owner) = (claim.lock.name(), &claim.owner);
        self.texts.extend(name.as_bytes());
        self.texts.extend(owner.as_bytes());
        self.records.push_back(Record {
            at,
            app_id: claim.lock.app_id().clone(),
            name: name.len(),
            owner: owner.len(),
            limit: claim.limit,
        });
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.records.pop_front() {
            self.texts.drain(..first.length());
        }
    }

    /// The oldest, which is forgotten.
    fn pop(&mut self) -> Option<(Moment, Arc<Claim>)> {
        let record = self.records.pop_front()?;
        let mut text = |length| {
            let bytes: Vec<u8> = self.texts.drain(..length).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (name, owner) = (text(record.name), text(record.owner));
        let claim = Claim::of(LockId::of_key(record.app_id, &name), owner, record.limit);
        Some((record.at, claim))
    }
}

impl Released {
    pub(crate) fn note(&self, claim: &Claim) {
        let now = Moment::now();
        let mut released = lock(&self.0);
        while let Some(first) = released.records.front()
            && (released.records.len() >= MOST || now.since(first.at) > LATELY)
        {
            released.forget_first();
        }
        released.push(claim, now);
    }

    /// Those of locks in `scope`, which are forgotten.
    pub(crate) fn take(&self, scope: &Scope) -> Vec<Arc<Claim>> {
        let mut released = lock(&self.0);
        let mut all = std::mem::take(&mut *released);
        let mut taken = Vec::new();
        while let Some((at, claim)) = all.pop() {
            if scope.holds(&claim.lock) {
                taken.push(claim);
            } else {
                released.push(&claim, at);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str) -> Arc<Claim> {
        Claim::of(
            LockId::of_key("app".into(), name),
            format!("owner of {name}"),
            Limit::SHARED,
        )
    }

    #[test]
    fn claims_are_taken_as_they_were_noted_and_only_those_in_scope() {
        let released = Released::default();
        let (lamp, desk, chair) = (claim("lamp"), claim("b\u{fc}ro"), claim("chair"));
        for each in [&lamp, &desk, &chair] {
            released.note(each);
        }
        let without_desk = Scope::of(|lock| !lock.name().starts_with('b'));
        assert_eq!(released.take(&without_desk), [lamp, chair]);
        assert_eq!(released.take(&Scope::all()), [desk]);
        assert_eq!(released.take(&Scope::all()), []);
    }

    #[test]
    fn the_oldest_are_forgotten_for_the_newest() {
        let released = Released::default();
        for number in 0..MOST + 2 {
            released.note(&claim(&format!("lock-{number}")));
        }
        let taken = released.take(&Scope::all());
        assert_eq!(taken.len(), MOST);
        assert_eq!(taken[0], claim("lock-2"));
        assert_eq!(taken[MOST - 1], claim(&format!("lock-{}", MOST + 1)));
    }
}
