//! Plays scenarios on one store: those that do not disturb others side by side, since they mostly wait.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use crate::driver;
use crate::face::Face;
use crate::file::{self, Scenario};
use crate::place::Place;
use crate::reports::collect;

/// How many scenarios run at the same time.
const AT_ONCE: usize = 8;

/// Runs those that are for the place and `meant`; panics with all that failed.
pub(crate) fn run_on(place: &Place, face: &dyn Face, meant: impl Fn(&Scenario) -> bool) {
    collect();
    let wanted = std::env::var("LEASELOCK_SCENARIO").unwrap_or_default();
    let scenarios = file::read();
    let wanted = |scenario: &&Scenario| {
        scenario.id.contains(&wanted) && scenario.is_for(place.kind()) && meant(scenario)
    };
    let (alone, together): (Vec<_>, Vec<_>) =
        scenarios.iter().filter(wanted).partition(|s| s.exclusive);
    let failures = Mutex::new(Vec::new());
    let run = |scenario: &Scenario| {
        if let Err(failure) = driver::run(scenario, face, place) {
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
    for scenario in alone.iter().copied() {
        run(scenario);
    }
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let all = together.len() + alone.len();
    assert!(
        failures.is_empty(),
        "{} of {all} scenarios failed on {}:\n{}",
        failures.len(),
        place.name(),
        failures.join("\n")
    );
    eprintln!("{all} scenarios passed on {}", place.name());
}
