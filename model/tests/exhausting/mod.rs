//! Going through every state of a configuration.

use std::time::Instant;

use leaselock_model::Config;
use leaselock_model::checker::exhaust;
use leaselock_model::config::{EXCLUSIVE, SHARED};
use leaselock_model::properties::{
    ALL_OVER, BEGUN_BY_GRANT, HANDED_OVER, HELD_TOGETHER, is_example,
};

/// Checks that every property holds in every state.
#[track_caller]
pub(crate) fn holds(name: &str, config: Config) {
    let started = Instant::now();
    let mut examples = Vec::new();
    let limits: Vec<u8> = config.limits.iter().flatten().copied().collect();
    let sharing = limits.iter().filter(|limit| **limit != EXCLUSIVE).count();
    let short = |limit: &u8| *limit != SHARED && limits.len() > usize::from(*limit);
    examples.extend((sharing > 1).then_some(HELD_TOGETHER));
    if config.waits && (limits.is_empty() || limits.iter().any(short)) {
        examples.push(HANDED_OVER);
        // A TTL shorter than the claim window is always claimed.
        examples.extend((config.ttl >= config.window).then_some(BEGUN_BY_GRANT));
    }
    examples.push(ALL_OVER);
    let outcome = exhaust(config, 2);
    println!(
        "{name}: {} states, {} steps deep, {:.1} s",
        outcome.states,
        outcome.depth,
        started.elapsed().as_secs_f64()
    );
    for (property, steps) in &outcome.found {
        assert!(
            is_example(property),
            "{name}: {property:?} does not hold after {steps:#?}"
        );
    }
    assert!(outcome.done, "{name}: not every state was visited");
    for example in examples {
        assert!(
            outcome.found.iter().any(|(found, _)| *found == example),
            "{name}: never {example:?}: nothing was checked"
        );
    }
}
