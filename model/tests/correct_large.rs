//! Configurations a step larger than those of the other files, for an hour rather than a minute. Eight of them have 101.7 million states
//! together; those with two kinds of fault, and two readers and a writer with a drop, were not seen to their end yet.
//!
//! `cargo test -p leaselock-model --test correct_large --locked -- --ignored --nocapture --test-threads 1`, with 16 GB of memory.

mod exhausting;

use exhausting::holds;
use leaselock_model::config::{EXCLUSIVE, SHARED};
use leaselock_model::{Config, Faults};

fn three() -> Config {
    Config {
        clients: vec![1, 1, 1],
        ..Config::default()
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
            patience: 2,
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_cancels() {
    holds(
        "three clients, slow, a cancel",
        Config {
            patience: 4,
            faults: Faults {
                cancels: 1,
                ..Faults::default()
            },
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_gives_up_its_connection() {
    holds(
        "three clients, slow, a drop",
        Config {
            patience: 5,
            faults: Faults {
                drops: 1,
                ..Faults::default()
            },
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_on_a_slow_network_one_is_cut_off() {
    holds(
        "three clients, slow, a close",
        Config {
            patience: 6,
            faults: Faults {
                closes: 1,
                ..Faults::default()
            },
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn two_readers_and_a_writer_one_gives_up_its_connection() {
    holds(
        "two readers and a writer, slow, a drop",
        Config {
            clients: vec![1, 1, 1],
            limits: vec![vec![SHARED], vec![SHARED], vec![EXCLUSIVE]],
            patience: 6,
            faults: Faults {
                drops: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_killed_on_a_slow_network() {
    holds(
        "three clients, slow, a kill",
        Config {
            patience: 4,
            faults: Faults {
                kills: 1,
                ..Faults::default()
            },
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_stopped_on_a_slow_network() {
    holds(
        "three clients, slow, a pause",
        Config {
            patience: 4,
            faults: Faults {
                pauses: 1,
                ..Faults::default()
            },
            ..three()
        },
    );
}

#[test]
#[ignore = "takes minutes"]
fn three_clients_one_stopped_and_one_cancels() {
    holds(
        "three clients, slow, a pause and a cancel",
        Config {
            patience: 5,
            faults: Faults {
                pauses: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..three()
        },
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
        Config {
            clients: vec![1, 1, 1],
            limits: vec![vec![SHARED], vec![SHARED], vec![EXCLUSIVE]],
            patience: 4,
            faults: Faults {
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "two readers and a writer, slow, a kill",
        Config {
            clients: vec![1, 1, 1],
            limits: vec![vec![SHARED], vec![SHARED], vec![EXCLUSIVE]],
            patience: 5,
            faults: Faults {
                kills: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}
