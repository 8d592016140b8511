//! No seed breaks a rule, and a seed is a world.

use std::env;

use leaselock_simulation::worlds::{Kind, Plan, Setting, explain, run, search};

/// How many seeds are run in all, as many of each kind.
const SCHEDULES: u64 = 100_000;

fn schedules() -> u64 {
    let asked = env::var("SIMULATION_SCHEDULES").ok();
    asked.map_or(SCHEDULES, |count| count.parse().expect("a number"))
}

#[test]
fn no_seed_breaks_a_rule() {
    let count = schedules();
    let of_each = count.div_ceil(Kind::ALL.len() as u64);
    let mut worlds = 0;
    for kind in Kind::ALL {
        let found = search(0, of_each, kind, &Setting::default(), 2, 1);
        println!(
            "{kind:?}: {} worlds with {} leases in {:.1} s",
            found.worlds,
            found.leases,
            found.took.as_secs_f64()
        );
        if let Some((seed, violation)) = found.broken.first() {
            let story = explain(*seed, kind, &Setting::default());
            panic!("seed {seed} of {kind:?} breaks a rule: {violation:?}\n{story}");
        }
        assert!(found.leases > found.worlds, "few leases began");
        worlds += found.worlds;
    }
    assert!(worlds >= count, "{worlds} worlds of {count}");
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
