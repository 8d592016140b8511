//! One world from its beginning to its end.

use std::rc::Rc;
use std::sync::Arc;

use leaselock::simulation::seed;
use tokio::runtime::Builder;

use crate::worlds::clients::Member;
use crate::worlds::plan::{Fault, Plan, What};
use crate::worlds::process::Here;
use crate::worlds::record::Violation;
use crate::worlds::rules::{CLOSES, TURN_COMES};
use crate::worlds::world::{Event, State, Time, World};

const SECOND: u64 = 1_000_000;
/// By then everybody has had a turn.
const ALL_OVER_BY: u64 = 240 * SECOND;

pub use leaselock::simulation::Bug;

/// What a world is run with.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// What happened is told step by step.
    pub with_steps: bool,
    /// A text of the scripts that is replaced on the way to the server.
    pub script: Option<(String, String)>,
    /// A bug of the core's.
    pub bug: Option<Bug>,
}

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The same for the same plan, and for no other.
    pub fingerprint: u64,
    /// The rule that was broken first.
    pub violation: Option<Violation>,
    /// What happened, where that was asked for.
    pub steps: Vec<String>,
    /// How many leases began.
    pub leases: usize,
    /// How long it took in the world, in ms.
    pub lasted: u64,
}

/// Runs a plan.
///
/// # Panics
/// Where the system gives no runtime.
#[must_use]
pub fn run(plan: &Plan, setting: &Setting) -> Outcome {
    let time = Arc::new(Time::default());
    let ticking = time.clone();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_unpark(move || ticking.go_on())
        .build()
        .expect("a runtime");
    let world = World::new(plan, setting, time);
    seed(setting.bug);
    let _here = leaselock::simulation::enter(Rc::new(Here(world.clone())));
    runtime.block_on(live(&world, plan));
    world.with(|state| state.record.close());
    world.forget_members();
    drop(runtime);
    world.with(|state| {
        let (fingerprint, violation, steps) = state.record.end();
        let leases = state.checker.ops.iter().filter(|op| op.started.is_some());
        let outcome = Outcome {
            fingerprint,
            violation,
            steps,
            leases: leases.count(),
            lasted: state.now() / 1_000,
        };
        state.forget_wakers();
        outcome
    })
}

async fn live(world: &Arc<World>, plan: &Plan) {
    let members: Vec<Member> = (0..plan.clients)
        .map(|process| Member::new(world, process, plan))
        .collect();
    world.set_members(members.clone());
    let mut last = 0;
    world.with(|state| {
        state.schedule(0, Event::Tick);
        for item in &plan.items {
            last = last.max(item.at * 1_000);
            if let What::Fault(fault) = item.what {
                let number = state.faults.len();
                state.faults.push(fault);
                state.schedule(item.at * 1_000, Event::Begins(number));
                if let Fault::Failover { lag, .. } = fault {
                    let at = item.at.saturating_sub(lag) * 1_000;
                    state.schedule(at, Event::Copied(number));
                }
            }
        }
    });
    for item in &plan.items {
        if let What::Acquire(acquire) = &item.what {
            members[acquire.client].begin(item.id, item.at, acquire.clone());
        }
    }
    drop(members);
    let is_over = |state: &mut State| {
        let now = state.now();
        let mut ops = state.checker.ops.iter();
        now > last && ops.all(|op| op.over.is_some() || op.is_dead) || now > ALL_OVER_BY
    };
    world.go_on(is_over).await;
    world.with(|state| {
        let now = state.now();
        // A clock that went back by an hour keeps what nobody renews for as long.
        let went_back = state.checker.went_back;
        if !went_back
            && let Some(op) = state
                .checker
                .ops
                .iter()
                .find(|op| op.over.is_none() && !op.is_dead)
        {
            let how = format!("op{} is not over", op.item);
            state.record.violate(TURN_COMES, now, || how);
        }
    });
    // All that is under way arrives, and is undone.
    let calm = world.with(|state| {
        let well = state.processes.iter().map(|process| process.well_from);
        well.max().unwrap_or(0).max(state.now()) + state.lasts() + 4 * SECOND
    });
    world.go_on(|state| state.now() >= calm).await;
    let closing: Vec<usize> = world.with(|state| {
        let all = 0..state.processes.len();
        all.filter(|&it| !state.processes[it].is_dead).collect()
    });
    for &client in &closing {
        world.member(client).close();
    }
    let limit = world.with(|state| state.now() + 2 * state.lasts() + 3 * SECOND);
    let count = closing.len();
    world
        .go_on(|state| state.closed == count || state.now() > limit)
        .await;
    let rest = world.with(|state| state.now() + SECOND);
    world.go_on(|state| state.now() >= rest).await;
    world.with(|state| {
        let now = state.now();
        if state.closed < count {
            let closed = state.closed;
            state
                .record
                .violate(CLOSES, now, || format!("{closed} of {count} have closed"));
        }
        if !state.is_down() {
            state.look_at_the_end();
        }
    });
}
