//! Seeding one bug at a time, and having the checker find it.

use leaselock_model::checker::{exhaust, find};
use leaselock_model::properties::is_example;
use leaselock_model::{Bug, Config, Faults};

/// Checks that `bug` leads to a state in which `property` does not hold, and that without it nothing is wrong.
#[track_caller]
pub(crate) fn finds(bug: Bug, property: &'static str, config: Config) {
    let without = exhaust(config.clone(), 1);
    assert!(without.done, "not every state was visited");
    for (broken, steps) in &without.found {
        assert!(
            is_example(broken),
            "without {bug:?}: {broken:?}: {steps:#?}"
        );
    }
    let config = Config {
        bug: Some(bug),
        ..config
    };
    let (steps, states) = find(config, property);
    let Some(steps) = steps else {
        panic!("{bug:?} was not found: {property:?} held in all {states} states");
    };
    let among = without.states;
    println!(
        "{bug:?} breaks {property:?} after {} steps ({among} states without it):",
        steps.len()
    );
    for step in steps {
        println!("    {step:?}");
    }
}

/// Messages that arrive at once, and a lock that is looked at in time: the fewest states.
#[allow(dead_code)] // not where callers ask in different ways
pub(crate) fn quick() -> Config {
    Config {
        slow: false,
        patience: 2,
        ..Config::default()
    }
}

/// None.
pub(crate) fn faults() -> Faults {
    Faults::default()
}
