//! Configurations in which callers ask for the name in different ways.

use leaselock_model::Config;
use leaselock_model::config::{EXCLUSIVE, SHARED};

/// Clients with a letter for each task: `W` is a writer, alone; `R` a reader; a digit the permits it asks for. Messages arrive
/// at once.
pub(crate) fn asking(clients: &str) -> Config {
    let limit = |letter: char| match letter {
        'W' => EXCLUSIVE,
        'R' => SHARED,
        digit => u8::try_from(digit.to_digit(10).expect("a digit")).expect("small"),
    };
    let limits: Vec<Vec<u8>> = clients
        .split(' ')
        .map(|tasks| tasks.chars().map(limit).collect())
        .collect();
    Config {
        clients: limits.iter().map(Vec::len).collect(),
        limits,
        slow: false,
        patience: 2,
        ..Config::default()
    }
}
