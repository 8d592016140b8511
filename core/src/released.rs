//! Leases given back lately, where the store may turn out to have been succeeded by one that has not heard of it: there their
//! locks would be held by nobody until their TTLs end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use crate::claim::Claim;
use crate::clock::Moment;
use crate::shared::ClientCore;
use crate::store::{AtOnce, Scope};
use crate::sync::lock;
use crate::undo::undo;

/// Where no sentinel is in reach, a master that was succeeded while it lived tells its clients about eleven seconds later.
const LATELY: Duration = Duration::from_secs(15);
/// No more are remembered than these.
const MOST: usize = 8192;
/// What was under way to the old store is answered by then.
const AGAIN: Duration = Duration::from_secs(1);
/// So many are given back at the same time.
const AT_ONCE: usize = 64;

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
    fn take(&self, scope: &Scope) -> Vec<Arc<Claim>> {
        let mut released = lock(&self.0);
        let all = std::mem::take(&mut *released).into_iter();
        let (taken, kept) = all.partition(|(_, claim)| scope.holds(&claim.lock));
        *released = kept;
        drop(released);
        VecDeque::into_iter(taken).map(|(_, claim)| claim).collect()
    }
}

/// Gives back once more, at the store's successor, what was given back before.
pub(crate) async fn give_back_again(client: Arc<ClientCore>, scope: Scope) -> bool {
    let Some(released) = &client.released else {
        return true;
    };
    give_back(&client, released.take(&scope)).await;
    tokio::select! {
        () = tokio::time::sleep(AGAIN) => {}
        () = client.closing() => {}
    }
    give_back(&client, released.take(&scope)).await
}

async fn give_back(client: &Arc<ClientCore>, claims: Vec<Arc<Claim>>) -> bool {
    let undone = stream::iter(claims).map(|claim| {
        let sent_in = client.store.standing(&claim.lock);
        let lasts = client.command_timeout;
        undo(client.clone(), claim, lasts, sent_in, false, AtOnce::Unsent)
    });
    undone
        .buffer_unordered(AT_ONCE)
        .all(std::future::ready)
        .await
}
