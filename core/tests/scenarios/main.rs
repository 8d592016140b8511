//! Runs `tests/scenarios/scenarios.json` against every server, through the async and through the blocking client.
//!
//! `LEASELOCK_SCENARIO=part-of-an-id` runs a part of them.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod face;
mod file;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use common::Server;
use face::{AsyncFace, BlockingFace, Face};
use file::Scenario;

/// How many scenarios run at the same time. Most of their time is waiting.
const AT_ONCE: usize = 8;

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
}

fn run_all(face: &dyn Face) {
    let wanted = std::env::var("LEASELOCK_SCENARIO").unwrap_or_default();
    let scenarios = file::read();
    let wanted = |scenario: &&Scenario| scenario.id.contains(&wanted);
    let (alone, together): (Vec<_>, Vec<_>) =
        scenarios.iter().filter(wanted).partition(|s| s.exclusive);
    for server in Server::each(&[]) {
        let failures = Mutex::new(Vec::new());
        let run = |scenario: &Scenario| {
            if let Err(failure) = driver::run(scenario, face, &server) {
                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(format!("{}: {failure}", scenario.id));
            }
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..AT_ONCE {
                threads.spawn(|| {
                    while let Some(scenario) = together.get(next.fetch_add(1, SeqCst)) {
                        run(scenario);
                    }
                });
            }
        });
        alone.iter().for_each(|scenario| run(scenario));
        let failures = failures
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let all = together.len() + alone.len();
        assert!(
            failures.is_empty(),
            "{} of {all} scenarios failed on {}:\n{}",
            failures.len(),
            server.name,
            failures.join("\n")
        );
        eprintln!("{all} scenarios passed on {}", server.name);
    }
}
