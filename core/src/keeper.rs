//! The keeper: one task per client that renews its leases in batches and notices those that have ended.

mod schedule;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use self::schedule::{Kept, Schedule};
use crate::clock::Moment;
use crate::holding::{Holding, Next};
use crate::name::LockId;
use crate::shared::ClientCore;
use crate::state::LeaseState;
use crate::store::{Failure, Ownership, Renewal, Scope};
use crate::sync;

/// A renewal that is due this soon is sent now, so that renewals go in batches.
const BATCH: Duration = Duration::from_millis(20);
/// A renewal waits for its answer this part of the TTL, and no less than the floor.
const TIMEOUT_PART: u32 = 6;
const TIMEOUT_FLOOR: Duration = Duration::from_millis(50);

/// The leases of one client, by when they are due.
pub(crate) struct Keeper {
    schedule: Mutex<Schedule>,
    wake: Notify,
    stopped: AtomicBool,
}

impl Keeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            schedule: Mutex::default(),
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        sync::lock(&self.schedule)
    }

    /// Takes charge of a lease; returns the keeper's number for it.
    pub(crate) fn add(self: &Arc<Self>, client: &Arc<ClientCore>, holding: Arc<Holding>) -> u64 {
        let due = holding.first_due();
        let mut schedule = self.lock();
        schedule.last_id += 1;
        let id = schedule.last_id;
        schedule.due.insert((due, id));
        schedule.leases.insert(id, Kept::new(due, holding));
        schedule.active = true;
        let start = !std::mem::replace(&mut schedule.started, true);
        let wake = schedule.wakes_at.is_none_or(|at| due < at);
        drop(schedule);
        if start {
            client.store.watch();
            client.spawn(run(self.clone(), Arc::downgrade(client)));
        } else if wake {
            self.wake.notify_one();
        }
        id
    }

    /// Lets go of the lease of number `id`; `false` when the keeper had let go of it before.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut schedule = self.lock();
        match schedule.leases.remove(&id) {
            Some(kept) => {
                schedule.due.remove(&(kept.due, id));
                schedule.unwatch(id, &kept.holding.claim.lock);
                true
            }
            None => false,
        }
    }

    /// Looks at a lease again at `due`.
    pub(crate) fn reschedule(&self, id: u64, due: Moment) {
        let mut schedule = self.lock();
        let schedule = &mut *schedule;
        if let Some(kept) = schedule.leases.get_mut(&id) {
            schedule.due.remove(&(kept.due, id));
            kept.due = due;
            schedule.due.insert((due, id));
            if schedule.wakes_at.is_none_or(|at| due < at) {
                self.wake.notify_one();
            }
        }
    }

    /// Has the lease of number `id` renewed now.
    pub(crate) fn renew_now(&self, id: u64) {
        if self.lock().hurry(id, Moment::now()) {
            self.wake.notify_one();
        }
    }

    /// Has every lease on a lock in `scope` renewed now, or where that was so a moment ago, soon, in as few pipelines as it takes; but
    /// for those that are being tried again, which have a pace of their own.
    pub(crate) fn renew_all(&self, scope: &Scope) {
        if self.lock().hurry_all(Moment::now(), scope) {
            self.wake.notify_one();
        }
    }

    /// Someone has touched `lock`: what is held there is renewed at once, and what the store answers to that says whether it is
    /// lost.
    pub(crate) fn on_touched(&self, lock: &LockId) {
        if self.lock().on_touched(lock, Moment::now()) {
            self.wake.notify_one();
        }
    }

    /// The same of every lock in `scope`.
    pub(crate) fn on_flushed(&self, scope: &Scope) {
        if self.lock().on_flushed(scope, Moment::now()) {
            self.wake.notify_one();
        }
    }

    /// Looks at a lease that was just renewed again at `due`, or before, where its lock was touched meanwhile.
    fn on_renewed(&self, id: u64, holding: &Holding, due: Moment) {
        let touched = self.lock().touched_at(id, &holding.claim.lock);
        self.reschedule(id, touched.map_or(due, |at| at.min(due)));
    }

    /// Whether the keeper is in charge of a lease of `owner`.
    pub(crate) fn holds(&self, owner: &str) -> bool {
        let schedule = self.lock();
        schedule
            .leases
            .values()
            .any(|kept| *kept.holding.claim.owner == *owner)
    }

    /// Whether the keeper is in charge of no lease.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().leases.is_empty()
    }

    /// Every lease that the keeper is in charge of.
    pub(crate) fn all(&self) -> Vec<(u64, Arc<Holding>)> {
        let schedule = self.lock();
        schedule
            .leases
            .iter()
            .map(|(id, kept)| (*id, kept.holding.clone()))
            .collect()
    }

    /// Ends the task.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// Leases that are renewed together.
struct Batch {
    /// The leases, each with its number and the TTL to set.
    leases: Vec<(u64, Arc<Holding>, Duration)>,
    /// The least time that any of the leases was set to last.
    shortest: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            leases: Vec::new(),
            shortest: Duration::MAX,
        }
    }
}

async fn run(keeper: Arc<Keeper>, client: Weak<ClientCore>) {
    while !keeper.stopped.load(Ordering::Acquire) {
        let now = Moment::now();
        let mut batches: BTreeMap<(bool, u32), Batch> = BTreeMap::new();
        let due = keeper.lock().take_due(now + BATCH);
        for (id, holding, is_touched) in due {
            match holding.on_due(now, is_touched) {
                Next::Renew { ttl, term } => {
                    keeper.lock().on_renewing(id, &holding, now, term);
                    // The deadline is watched while the renewal is under way.
                    keeper.reschedule(id, now + holding.expires_in());
                    // Alike TTLs together: a short one's time-out must not fail a long one. And those of shared locks apart,
                    // which nobody watches.
                    let is_exclusive = holding.claim.limit.is_exclusive();
                    let batch = batches.entry((is_exclusive, wide(term).ilog2()));
                    let batch = batch.or_default();
                    batch.shortest = batch.shortest.min(term);
                    batch.leases.push((id, holding, ttl));
                }
                Next::At(due) => keeper.reschedule(id, due.max(now + Duration::from_millis(1))),
                Next::Nothing => {
                    if keeper.remove(id)
                        && let Some(client) = client.upgrade()
                    {
                        client.on_ended(&holding);
                    }
                }
            }
        }
        for batch in batches.into_values() {
            let Some(client) = client.upgrade() else {
                return;
            };
            let keeper = keeper.clone();
            client
                .clone()
                .spawn(async move { renew(&keeper, client, batch).await });
        }
        let sleep = keeper.lock().plan(now);
        match sleep {
            Some(sleep) => {
                let _ = tokio::time::timeout(sleep, keeper.wake.notified()).await;
            }
            None => keeper.wake.notified().await,
        }
    }
}

fn wide(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Renews one batch, and tells each lease what came of it.
async fn renew(keeper: &Keeper, client: Arc<ClientCore>, batch: Batch) {
    let leases = batch.leases;
    let renewals: Vec<Renewal> = leases
        .iter()
        .map(|(_, holding, ttl)| holding.renewal(*ttl, false))
        .collect();
    let timeout = renew_timeout(client.command_timeout, batch.shortest);
    let standing = |holding: &Holding| client.store.standing(&holding.claim.lock);
    let standings: Vec<_> = leases.iter().map(|(_, it, _)| standing(it)).collect();
    let rounds: Vec<u64> = leases
        .iter()
        .map(|(_, holding, _)| holding.round())
        .collect();
    let sent = Moment::now();
    let (mut results, late) = match client.store.renew(&renewals, timeout).await {
        Ok(renewed) => (
            renewed.results.into_iter().map(Some).collect(),
            renewed.late,
        ),
        Err(failure) => (vec![Some(Err(failure)); leases.len()], Vec::new()),
    };
    results.resize_with(leases.len(), || None);
    for (((id, holding, ttl), renewal), outcome) in leases.iter().zip(&renewals).zip(results) {
        match &outcome {
            Some(Ok(ownership)) if ownership.is_mine() => client.on_renewed(holding),
            Some(Err(failure)) => {
                report(&client, holding, failure);
                client.on_renew_failed(holding);
            }
            Some(Ok(_)) | None => {}
        }
        // Until its connection is dropped, a command without an answer may be carried out.
        let late_until = match &outcome {
            Some(Err(failure)) if failure.is_unanswered() && renewal.may_shorten => {
                Some(sent + client.command_timeout)
            }
            _ => None,
        };
        let outcome = outcome.and_then(Result::ok);
        let next = holding.on_renewed(sent, *ttl, outcome, late_until);
        go_on(keeper, &client, (*id, holding), outcome, next);
    }
    for ((id, holding, _), before) in leases.iter().zip(standings) {
        // Whoever answered may not be the one to ask any more, and its successor was not asked while this was under way.
        if standing(holding) != before {
            keeper.renew_now(*id);
        }
    }
    // A client that nobody uses any more is not kept for what comes late.
    let weak = Arc::downgrade(&client);
    drop(client);
    let (leases, rounds, weak) = (&leases, &rounds, &weak);
    let late = late.into_iter().map(|late| async move {
        // The connection became suspect, and they are renewed on another one meanwhile; what this one answers counts, too.
        let (Some(results), Some(client)) = (late.results.await, weak.upgrade()) else {
            return;
        };
        for (at, result) in late.of.into_iter().zip(results) {
            let (id, holding, ttl) = &leases[at];
            if let Ok(outcome) = result
                && let Some(next) = holding.on_late(sent, *ttl, outcome, rounds[at])
            {
                go_on(keeper, &client, (*id, holding), Some(outcome), next);
            }
        }
    });
    join_all(late).await;
}

fn go_on(
    keeper: &Keeper,
    client: &Arc<ClientCore>,
    (id, holding): (u64, &Arc<Holding>),
    outcome: Option<Ownership>,
    next: Next,
) {
    match next {
        Next::At(due) if outcome.is_some() => keeper.on_renewed(id, holding, due),
        Next::At(due) => keeper.reschedule(id, due),
        Next::Nothing | Next::Renew { .. } => {
            if keeper.remove(id) {
                client.on_ended(holding);
            } else if outcome.is_some_and(Ownership::is_mine) && holding.state() == LeaseState::Lost
            {
                // Renewed in the store, after it was lost here.
                client.let_go(holding);
            }
        }
    }
}

/// Logs a failed renewal: as a warning when the lease becomes unsure by it, and only for debugging when it was before.
fn report(client: &ClientCore, holding: &Holding, failure: &Failure) {
    const SAYING: &str = "a renewal failed; it is tried again until the deadline";
    let (id, app_id, name, owner) = (
        &client.client_id,
        &client.app_id,
        holding.claim.lock.name(),
        &holding.claim.owner,
    );
    let error = &failure.error;
    if holding.state() == LeaseState::Held {
        tracing::warn!(target: "leaselock", event = "renew_failed", client = %id, %app_id, %name, %owner, %error, "{SAYING}");
    } else {
        tracing::debug!(target: "leaselock", event = "renew_failed", client = %id, %app_id, %name, %owner, %error, "{SAYING}");
    }
}

/// How long a renewal or an extension waits for its answer.
pub(crate) fn renew_timeout(command_timeout: Duration, ttl: Duration) -> Duration {
    command_timeout.min((ttl / TIMEOUT_PART).max(TIMEOUT_FLOOR))
}
