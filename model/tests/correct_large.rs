//! Configurations a step larger than those of the other files, for an hour rather than a minute. Eight of them have 101.7 million states
//! together; those with two kinds of fault, and two readers and a writer with a drop, were not seen to their end yet.
//!
//! `cargo test -p leaselock-model --test correct_large --locked -- --ignored --nocapture --test-threads 1`, with 16 GB of memory.

mod exhausting;

use exhausting::holds;
use leaselock_model::config::{EXCLUSIVE, SHARED};
use leaselock_model::{Config, Faults};

/// Three clients, on a slow network.
fn three(patience: u8, faults: Faults) -> Config {
    Config {
        clients: vec![1, 1, 1],
        patience,
        faults,
        ..Config::default()
    }
}

/// Two readers and a writer, on a slow network.
fn readers(patience: u8, faults: Faults) -> Config {
    Config {
        limits: vec![vec![SHARED], vec![SHARED], vec![EXCLUSIVE]],
        ..three(patience, faults)
    }
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_that_come_again() {
    holds(
        "three clients, twice",
        Config {
            attempts: 2,
            slow: false,
            ..three(2, Faults::default())
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_cancels() {
    holds(
        "three clients, slow, a cancel",
        three(
            4,
            Faults {
                cancels: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_gives_up_its_connection() {
    holds(
        "three clients, slow, a drop",
        three(
            5,
            Faults {
                drops: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_is_cut_off() {
    holds(
        "three clients, slow, a close",
        three(
            6,
            Faults {
                closes: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn two_readers_and_a_writer_one_gives_up_its_connection() {
    holds(
        "two readers and a writer, slow, a drop",
        readers(
            6,
            Faults {
                drops: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_killed_on_a_slow_network() {
    holds(
        "three clients, slow, a kill",
        three(
            4,
            Faults {
                kills: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_stopped_on_a_slow_network() {
    holds(
        "three clients, slow, a pause",
        three(
            4,
            Faults {
                pauses: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_stopped_and_one_cancels() {
    holds(
        "three clients, slow, a pause and a cancel",
        three(
            5,
            Faults {
                pauses: 1,
                cancels: 1,
                ..Faults::default()
            },
        ),
    );
}

#[test]
#[ignore = "takes minutes"]
fn two_clients_with_many_faults() {
    holds(
        "two clients, cancels, drops, closes, losses",
        Config {
            patience: 8,
            faults: Faults {
                cancels: 1,
                drops: 1,
                closes: 1,
                losses: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "two clients twice, cancels and drops",
        Config {
            attempts: 2,
            patience: 4,
            faults: Faults {
                cancels: 1,
                drops: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn readers_and_a_writer_on_a_slow_network() {
    holds(
        "two readers and a writer, slow, a cancel",
        readers(
            4,
            Faults {
                cancels: 1,
                ..Faults::default()
            },
        ),
    );
    holds(
        "two readers and a writer, slow, a kill",
        readers(
            5,
            Faults {
                kills: 1,
                ..Faults::default()
            },
        ),
    );
}
