//! Runs many seeds, on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::worlds::plan::{Kind, Plan};
use crate::worlds::record::Violation;
use crate::worlds::run::{Setting, run};
use crate::worlds::shrink::shrink;

/// What came of many seeds.
#[derive(Debug)]
pub struct Found {
    /// How many worlds were run.
    pub worlds: u64,
    /// How many leases began in them.
    pub leases: u64,
    /// How long they lasted in all, in their own time.
    pub lasted: Duration,
    /// How long it took.
    pub took: Duration,
    /// The seeds that broke a rule, the least first.
    pub broken: Vec<(u64, Violation)>,
}

/// Runs `count` seeds from `first` on, on so many threads. It ends early when so many are broken.
///
/// # Panics
/// Where a world does.
#[must_use]
pub fn search(
    first: u64,
    count: u64,
    kind: Kind,
    setting: &Setting,
    threads: usize,
    enough: usize,
) -> Found {
    let begun = Instant::now();
    let (next, leases, lasted) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let worlds = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let broken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = run(&Plan::new(seed, kind), setting);
                    worlds.fetch_add(1, Ordering::Relaxed);
                    leases.fetch_add(outcome.leases as u64, Ordering::Relaxed);
                    lasted.fetch_add(outcome.lasted, Ordering::Relaxed);
                    if let Some(violation) = outcome.violation {
                        let mut broken = broken.lock().expect("no panic");
                        broken.push((seed, violation));
                        if broken.len() >= enough {
                            over.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().expect("no panic");
    broken.sort_by_key(|(seed, _)| *seed);
    Found {
        worlds: worlds.into_inner(),
        leases: leases.into_inner(),
        lasted: Duration::from_millis(lasted.into_inner()),
        took: begun.elapsed(),
        broken,
    }
}

/// What a broken seed comes to when all is left out that can be: its plan, and what happens.
///
/// # Panics
/// Where the seed breaks no rule.
#[must_use]
pub fn explain(seed: u64, kind: Kind, setting: &Setting) -> String {
    let plan = Plan::new(seed, kind);
    let violation = run(&plan, setting).violation.expect("a broken rule");
    let small = shrink(&plan, setting, violation.rule);
    let told = Setting {
        with_steps: true,
        ..setting.clone()
    };
    let outcome = run(&small, &told);
    let (before, after) = (plan.items.len(), small.items.len());
    format!(
        "{small}{after} of {before} items\n{}\n",
        outcome.steps.join("\n")
    )
}
