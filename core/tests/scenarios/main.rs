//! Runs `tests/scenarios/scenarios.json` on every kind of store, through the async and through the blocking client.
//!
//! `LEASELOCK_SCENARIO=part-of-an-id` runs a part of them.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod face;
mod file;
mod observations;
mod place;
mod plain;
mod play;
mod reports;

use std::collections::BTreeSet;

use face::{AsyncFace, BlockingFace, Face};
use file::Scenario;
use place::Place;

#[test]
fn scenarios_through_the_async_client() {
    run_all(&AsyncFace::new());
}

#[test]
fn scenarios_through_the_blocking_client() {
    run_all(&BlockingFace);
}

#[test]
fn the_file_is_well_formed() {
    let scenarios = file::read();
    assert!(scenarios.len() >= 40, "{} scenarios", scenarios.len());
    for scenario in &scenarios {
        driver::check(scenario).unwrap_or_else(|error| panic!("{}: {error}", scenario.id));
    }
    let everywhere = scenarios.iter().filter(|scenario| scenario.everywhere);
    assert_eq!(operations(everywhere), operations(&scenarios));
}

/// The operations that scenarios use.
fn operations<'a>(scenarios: impl IntoIterator<Item = &'a Scenario>) -> BTreeSet<&'a str> {
    let steps = scenarios.into_iter().flat_map(|scenario| &scenario.steps);
    let all = steps
        .flat_map(|step| [Some(step), step.get("step")])
        .flatten();
    all.filter_map(|step| step["op"].as_str()).collect()
}

/// A driver that let everything pass would make every scenario worthless.
#[test]
fn the_driver_notices_what_is_not_as_expected() {
    let steps = [
        r#"{"op": "try_acquire", "client": "a", "name": "n-<run>", "expect": false}"#,
        r#"{"op": "acquire", "client": "a", "name": ""}"#,
        r#"{"op": "acquire", "client": "a", "name": "", "error": {"code": "LOCK_TIMEOUT"}}"#,
        r#"{"op": "acquire", "client": "a", "name": "n-<run>", "error": {"code": "INVALID_ARGUMENT"}}"#,
        r#"{"op": "inspect", "client": "a", "name": "n-<run>", "expect": {"waiters": 0}}"#,
        r#"{"op": "stats", "client": "a", "expect": {"held": {"between": [1, 2]}}}"#,
        r#"{"op": "stats", "client": "a", "expect": {"held": {"not": 0}}}"#,
        r#"{"op": "stats", "client": "a", "expect": {"no_such_counter": 0}}"#,
        r#"{"op": "locks", "client": "a", "pattern": "*", "expect": [{"name": "n-<run>"}]}"#,
        r#"{"op": "redis", "args": ["PING"], "expect": {"prefix": "X"}}"#,
        r#"{"op": "reported", "event": "lost", "name": "n-<run>", "within": 10, "expect": {"reason": "expired"}}"#,
        r#"{"op": "observed", "name": "n-<run>", "count": 1, "within": 10, "expect": [{"kind": "acquired"}, {"kind": "lost"}]}"#,
        r#"{"op": "sleep", "ms": 20, "took": [0, 10]}"#,
        r#"{"op": "sleep", "ms": 1, "took": [1000, 2000]}"#,
        r#"{"op": "sleep", "ms": 1, "expcet": null}"#,
        r#"{"op": "start", "task": "t", "step": {"op": "sleep", "ms": 1}}"#,
        r#"{"op": "redis", "args": ["GET", "<owner:nobody>"]}"#,
    ];
    for place in Place::servers() {
        for step in steps {
            let client = r#"{"op": "client", "as": "a", "app": "app-<run>"}"#;
            let text = format!(r#"{{"id": "x", "title": "x", "steps": [{client}, {step}]}}"#);
            let scenario: Scenario = serde_json::from_str(&text).expect("a scenario");
            driver::run(&scenario, &BlockingFace, &place).expect_err(step);
        }
    }
}

fn run_all(face: &dyn Face) {
    for place in Place::all() {
        play::run_on(&place, face, |_| true);
    }
}
