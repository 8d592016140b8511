//! The protocol as it is: every state of each configuration is visited, and every property holds in all of them.
//!
//! `patience` is the least that holds. Where messages arrive at once it is the fallback interval, 2 ticks; a slow network adds
//! a tick each way, and a connection that the server closes another until that is noticed.

mod exhausting;

use exhausting::holds;
use leaselock_model::{Config, Faults};

#[test]
fn three_clients_on_a_slow_network() {
    holds(
        "three clients",
        Config {
            clients: vec![1, 1, 1],
            ..Config::default()
        },
    );
}

#[test]
fn acquires_cancelled_on_connections_given_up() {
    holds(
        "two clients, cancels and drops",
        Config {
            patience: 4,
            faults: Faults {
                cancels: 1,
                drops: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "three clients, cancels and drops",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            patience: 2,
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
fn connections_closed_by_the_server() {
    holds(
        "closed connections",
        Config {
            patience: 5,
            faults: Faults {
                closes: 1,
                cancels: 2,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn tries_whose_take_is_left_behind() {
    holds(
        "tries",
        Config {
            tries: true,
            warm: true,
            attempts: 2,
            slow: false,
            patience: 2,
            faults: Faults {
                drops: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn stopped_clients() {
    holds(
        "stopped clients that renew",
        Config {
            renews: true,
            faults: Faults {
                pauses: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "stopped clients that renew on connections given up",
        Config {
            renews: true,
            slow: false,
            patience: 2,
            faults: Faults {
                pauses: 1,
                drops: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "three clients, one stopped",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            patience: 2,
            faults: Faults {
                pauses: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn killed_clients() {
    holds(
        "two clients, one killed",
        Config {
            faults: Faults {
                kills: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "three clients, two killed",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            patience: 2,
            faults: Faults {
                kills: 2,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

/// With the fallback far away, it is the next in line that notices a lease that ran out.
#[test]
fn the_next_in_line_watches_the_clock() {
    holds(
        "three clients, one killed, no fallback",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            ttl: 4,
            check: 8,
            patience: 2,
            faults: Faults {
                kills: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn waiters_of_one_client_take_turns_at_the_clock() {
    holds(
        "two waiters in one client",
        Config {
            clients: vec![1, 2],
            slow: false,
            patience: 2,
            faults: Faults {
                kills: 1,
                cancels: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn lost_messages_and_holders_that_tell_nobody() {
    holds(
        "lost messages, strangers",
        Config {
            patience: 4,
            faults: Faults {
                losses: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn a_server_that_comes_back_empty() {
    holds(
        "restart",
        Config {
            warm: true,
            patience: 5,
            faults: Faults {
                restarts: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "FLUSHALL",
        Config {
            warm: true,
            attempts: 2,
            patience: 4,
            faults: Faults {
                flushes: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

#[test]
fn a_replica_that_had_not_heard_the_last_writes() {
    holds(
        "failover",
        Config {
            patience: 5,
            faults: Faults {
                failovers: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "failover in use",
        Config {
            warm: true,
            attempts: 2,
            slow: false,
            patience: 2,
            faults: Faults {
                failovers: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

/// A claim window of two ticks: a grant also begins a lease that counts from a tick ago, and the keeper has time to renew it.
#[test]
fn grants_that_begin_leases() {
    let wide = Config {
        ttl: 3,
        window: 2,
        patience: 3,
        ..Config::default()
    };
    holds(
        "wide claim windows",
        Config {
            renews: true,
            faults: Faults {
                pauses: 1,
                ..Faults::default()
            },
            ..wide.clone()
        },
    );
    holds(
        "wide claim windows, drops and cancels",
        Config {
            slow: false,
            renews: true,
            faults: Faults {
                cancels: 1,
                drops: 1,
                losses: 1,
                ..Faults::default()
            },
            ..wide.clone()
        },
    );
    holds(
        "wide claim windows, three clients, one killed",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            faults: Faults {
                kills: 1,
                ..Faults::default()
            },
            ..wide.clone()
        },
    );
    holds(
        "wide claim windows, a failover",
        Config {
            slow: false,
            faults: Faults {
                failovers: 1,
                ..Faults::default()
            },
            ..wide
        },
    );
}
