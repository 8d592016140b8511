//! Leases given back lately, where the store may turn out to have been succeeded by one that has not heard of it: there their
//! locks would be held by nobody until their TTLs end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::claim::Claim;
use crate::clock::Moment;
use crate::store::Scope;
use crate::sync::lock;

/// Where no sentinel is in reach, a master that was succeeded while it lived tells its clients about eleven seconds later.
const LATELY: Duration = Duration::from_secs(15);
/// No more are remembered than these.
const MOST: usize = 8192;

/// The claims of leases that were given back lately, the oldest first.
#[derive(Default)]
pub(crate) struct Released(Mutex<VecDeque<(Moment, Arc<Claim>)>>);

impl Released {
    pub(crate) fn note(&self, claim: &Arc<Claim>) {
        let now = Moment::now();
        let mut released = lock(&self.0);
        while let Some((at, _)) = released.front()
            && (released.len() >= MOST || now.since(*at) > LATELY)
        {
            released.pop_front();
        }
        released.push_back((now, claim.clone()));
    }

    /// Those of locks in `scope`, which are forgotten.
    pub(crate) fn take(&self, scope: &Scope) -> Vec<Arc<Claim>> {
        let mut released = lock(&self.0);
        let all = std::mem::take(&mut *released).into_iter();
        let (taken, kept) = all.partition(|(_, claim)| scope.holds(&claim.lock));
        *released = kept;
        drop(released);
        VecDeque::into_iter(taken).map(|(_, claim)| claim).collect()
    }
}
