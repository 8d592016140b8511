//! No seed breaks a rule, and a seed is a world.

use std::env;

use leaselock_simulation::worlds::{Kind, Plan, Setting, explain, run, search};

/// How many seeds of each kind are run.
fn schedules() -> u64 {
    let asked = env::var("SIMULATION_SCHEDULES").ok();
    asked.map_or(2_000, |count| count.parse().expect("a number"))
}

fn holds(kind: Kind, first: u64) {
    let found = search(first, schedules(), kind, &Setting::default(), 2, 1);
    println!(
        "{} worlds with {} leases in {:.1} s",
        found.worlds,
        found.leases,
        found.took.as_secs_f64()
    );
    if let Some((seed, violation)) = found.broken.first() {
        let story = explain(*seed, kind, &Setting::default());
        panic!("seed {seed} of {kind:?} breaks a rule: {violation:?}\n{story}");
    }
    assert!(found.leases > found.worlds, "few leases began");
}

#[test]
fn no_seed_breaks_a_rule() {
    holds(Kind::Everything, 0);
}

#[test]
fn no_seed_of_exclusive_locks_breaks_a_rule() {
    holds(Kind::Exclusive, 0);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..100 {
        let plan = Plan::new(seed, Kind::Everything);
        let first = run(&plan, &Setting::default());
        let told = Setting {
            with_steps: true,
            ..Setting::default()
        };
        let again = std::thread::spawn(move || run(&plan, &told));
        let again = again.join().expect("no panic");
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed}");
        assert_eq!(first.lasted, again.lasted, "seed {seed}");
        assert!(!again.steps.is_empty());
        let other = run(
            &Plan::new(seed + 1_000, Kind::Everything),
            &Setting::default(),
        );
        assert_ne!(first.fingerprint, other.fingerprint, "seed {seed}");
    }
}
