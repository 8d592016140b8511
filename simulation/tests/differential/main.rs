//! The small Redis beside real ones: random commands, the same to both, and what both send is compared byte by byte, on all
//! connections, in RESP2 and RESP3.
//!
//! `LEASELOCK_DIFFERENTIAL_SEQUENCES` says how many sequences are tried on each server (2,000 by default), and
//! `LEASELOCK_DIFFERENTIAL_SEED`, a number, which: the seed of a run is printed, and each seed is of the same sequences for ever.
//! The servers are those that `tests/servers.py` finds, each started anew.
//!
//! **Time.** Both count by the same clock, this machine's. The small one is told what it showed just before a command was sent to the real
//! one, and each command is sent at the beginning of a millisecond and answered within it: so all that counts in ms is the same
//! to the byte. A sequence in which a command took longer is tried again where it shows a difference, and set aside where that is always so:
//! one in a hundred at most. Scripts see microseconds: such numbers
//! (16 digits, near now) are taken for equal.

mod fixed;
mod generator;
mod real;
mod scripts;
mod side_by_side;
mod vocabulary;

use std::cell::RefCell;
use std::sync::Mutex;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use self::real::Real;
use self::side_by_side::compare;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

/// Each waits by computing, which would take the processors from the other's server.
static ALONE: Mutex<()> = Mutex::new(());

/// As many sequences as are asked for, on one kind of server.
fn random_sequences(name: &str) {
    let Some(real) = Real::start(name) else {
        return;
    };
    let _alone = ALONE.lock();
    let cases = number("LEASELOCK_DIFFERENTIAL_SEQUENCES").unwrap_or(2_000);
    let seed = number("LEASELOCK_DIFFERENTIAL_SEED").unwrap_or_else(real::any_number);
    println!("{name}: LEASELOCK_DIFFERENTIAL_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::try_from(cases).expect("so many"),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        max_shrink_time: 15_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let real = RefCell::new(real);
    let ran = runner.run(&generator::sequence(), |sequence| {
        let compared = compare(&mut real.borrow_mut(), &sequence);
        compared.map_err(|difference| TestCaseError::fail(difference.to_string()))
    });
    let real = real.into_inner();
    println!(
        "{name}: {} commands compared, {} tried again",
        real.steps, real.retries
    );
    println!("{name}: {} sequences set aside", real.set_aside);
    if let Err(error) = ran {
        panic!("{name}, LEASELOCK_DIFFERENTIAL_SEED={seed}: {error}");
    }
    assert!(
        real.set_aside * 100 <= cases,
        "{name}: {} of {cases} sequences were never answered in time, or keys end otherwise than here",
        real.set_aside
    );
}

#[test]
fn random_sequences_never_differ_on_redis() {
    random_sequences("redis");
}

#[test]
fn random_sequences_never_differ_on_valkey() {
    random_sequences("valkey");
}
