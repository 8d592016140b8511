//! Every store beside one plain reference: random steps of clients that take, wait, look, claim, give up, renew and release, and
//! after each all that shows compared.
//!
//! `LEASELOCK_STORES_STEPS` says how many steps are tried on each store (4,000 by default), and `LEASELOCK_STORES_SEED`, a number,
//! which: the seed of a run is printed. A case that fails is made shorter, and told step by step.
//!
//! What these need only the crate itself sees: they are a part of its unit tests.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod comparing;
mod places;
mod reference;
mod steps;
mod vocabulary;

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::comparing::Comparison;
use self::places::Place;
use self::reference::Reference;
use self::steps::{Sequence, is_possible, sequence};

/// A sequence that took too long to tell times from each other is tried again so often.
const TRIES: u32 = 10;
/// So many steps a sequence has, on average.
const STEPS: u64 = 30;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

/// Does the steps of a sequence that can be done; how many those were, what was wrong, and whether it was quick enough to count.
async fn play(place: &Place, sequence: &Sequence) -> (u64, Result<(), String>, bool) {
    let Sequence { askers, steps } = sequence;
    let mut comparison = Comparison::begin(place, askers).await;
    let mut reference = Reference::new(place.rules(), askers.clone());
    let (mut done, mut checked) = (0, Ok(()));
    for step in steps {
        if is_possible(step, &reference) {
            reference.apply(step);
            checked = comparison.step(step, &reference).await;
            done += 1;
        }
        if checked.is_err() {
            break;
        }
    }
    if checked.is_ok() {
        checked = comparison.end(&reference).await;
    }
    (done, checked, comparison.is_quick())
}

fn random_steps(place: &Place) {
    let wanted = number("LEASELOCK_STORES_STEPS").unwrap_or(4_000);
    let any = || RandomState::new().build_hasher().finish();
    let seed = number("LEASELOCK_STORES_SEED").unwrap_or_else(any);
    println!("{}: LEASELOCK_STORES_SEED={seed}", place.name());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::try_from(wanted / STEPS).expect("so many"),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let (compared, again, set_aside) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |of: &Cell<u64>, more: u64| of.set(of.get() + more);
    let ran = runner.run(&sequence(), |sequence| {
        for _ in 0..TRIES {
            let (done, checked, is_quick) = runtime.block_on(play(place, &sequence));
            count(&compared, done);
            if is_quick {
                return checked.map_err(TestCaseError::fail);
            }
            count(&again, 1);
        }
        count(&set_aside, 1);
        Ok(())
    });
    let [compared, again, set_aside] = [compared, again, set_aside].map(Cell::into_inner);
    println!(
        "{}: {compared} steps compared, {again} sequences tried again, {set_aside} set aside",
        place.name()
    );
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(wrong, _)) => {
            panic!("{}, LEASELOCK_STORES_SEED={seed}: {wrong}", place.name())
        }
        Err(error) => panic!("{}: {error}", place.name()),
    }
    assert!(
        set_aside * 100 <= compared,
        "{}: {set_aside} sequences were never done in time",
        place.name()
    );
}

fn on_server(name: &str) {
    let binaries = common::binaries();
    if let Some(binary) = binaries.iter().find(|binary| binary.name.starts_with(name)) {
        random_steps(&Place::server(binary));
    } else {
        eprintln!("there is no {name} here: this test did not run");
    }
}

#[test]
fn random_steps_never_differ_on_redis() {
    on_server("redis");
}

#[test]
fn random_steps_never_differ_on_valkey() {
    on_server("valkey");
}

#[test]
fn random_steps_never_differ_in_a_file() {
    random_steps(&Place::file());
}

#[test]
fn random_steps_never_differ_in_memory() {
    random_steps(&Place::memory());
}
