//! The protocol at its edges, every state of each configuration as in `correct.rs`: late commands, forced releases, waiters
//! that nobody polls, a lost queue, a missed claim window, dead waiters, a restart without data.

mod exhausting;

use exhausting::holds;
use leaselock_model::{Config, Faults};

#[test]
fn releases_by_force() {
    holds(
        "a forced release, sent twice on a slow network",
        Config {
            warm: true,
            renews: true,
            faults: Faults {
                forces: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "two forced releases, three clients",
        Config {
            clients: vec![1, 1, 1],
            slow: false,
            patience: 2,
            faults: Faults {
                forces: 2,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "a forced release, clients that come again",
        Config {
            warm: true,
            attempts: 2,
            slow: false,
            patience: 2,
            faults: Faults {
                forces: 1,
                pauses: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
    holds(
        "a forced release, commands left on connections given up",
        Config {
            warm: true,
            renews: true,
            slow: false,
            faults: Faults {
                forces: 1,
                drops: 1,
                ..Faults::default()
            },
            ..Config::default()
        },
    );
}

/// In both directions: what is left behind may shorten a lease only where its holder was told so.
#[test]
fn extensions_left_on_connections_given_up() {
    let renews = Config {
        renews: true,
        ttl: 3,
        ..Config::default()
    };
    holds(
        "extensions on a slow network",
        Config {
            patience: 4,
            faults: Faults {
                extends: 1,
                ..Faults::default()
            },
            ..renews.clone()
        },
    );
    holds(
        "extensions, and connections given up",
        Config {
            slow: false,
            patience: 2,
            faults: Faults {
                extends: 2,
                drops: 1,
                ..Faults::default()
            },
            ..renews.clone()
        },
    );
    holds(
        "claims that cut the claim window, and connections given up",
        Config {
            slow: false,
            ttl: 2,
            window: 4,
            check: 6,
            patience: 6,
            faults: Faults {
                extends: 1,
                drops: 1,
                ..Faults::default()
            },
            ..renews
        },
    );
}

/// Of the waiters of one client, any may be one that is never polled again.
#[test]
fn waiters_that_are_not_polled() {
    let two = Config {
        clients: vec![1, 2],
        slow: false,
        patience: 3,
        ..Config::default()
    };
    holds(
        "one of two waiters not polled",
        Config {
            faults: Faults {
                stalls: 1,
                kills: 1,
                losses: 1,
                ..Faults::default()
            },
            ..two.clone()
        },
    );
    holds(
        "two of three waiters not polled",
        Config {
            clients: vec![1, 3],
            patience: 4,
            faults: Faults {
                stalls: 2,
                kills: 1,
                ..Faults::default()
            },
            ..two
        },
    );
}

#[test]
fn a_queue_that_is_lost() {
    let two = Config {
        clients: vec![1, 2],
        slow: false,
        patience: 4,
        ..Config::default()
    };
    let queues = Faults {
        queues: 1,
        ..Faults::default()
    };
    // Also where as many of another client wait.
    holds(
        "the queue lost, two clients of two waiters",
        Config {
            clients: vec![2, 2],
            asks_again: Some(2),
            faults: queues,
            ..two.clone()
        },
    );
    holds(
        "the queue lost, a waiter not polled",
        Config {
            again: 2,
            faults: Faults {
                stalls: 1,
                ..queues
            },
            ..two.clone()
        },
    );
    holds(
        "FLUSHALL, two waiters in one client",
        Config {
            faults: Faults {
                flushes: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..two
        },
    );
}

/// A waiter that missed its claim window has lost its place, too: the others ask once, in vain, and that is all.
#[test]
fn a_claim_window_that_is_missed() {
    let two = Config {
        clients: vec![1, 2],
        slow: false,
        patience: 4,
        ..Config::default()
    };
    let three = Config {
        clients: vec![1, 3],
        ..two.clone()
    };
    let losses = Faults {
        losses: 1,
        ..Faults::default()
    };
    holds(
        "a stopped client, two waiters",
        Config {
            asks_again: Some(1),
            faults: Faults {
                pauses: 1,
                ..Faults::default()
            },
            ..two.clone()
        },
    );
    holds(
        "a lost message, three waiters",
        Config {
            asks_again: Some(2),
            faults: losses,
            ..three.clone()
        },
    );
    // A claim window of three ticks is missed by nobody on a slow network.
    holds(
        "a slow network, two waiters",
        Config {
            slow: true,
            ttl: 4,
            window: 3,
            check: 4,
            patience: 8,
            asks_again: Some(0),
            ..two
        },
    );
    // Where that comes just before the queue is lost, the others come back when they look by themselves.
    holds(
        "a lost message, and then the queue",
        Config {
            check: 3,
            patience: 6,
            together: 3,
            faults: Faults {
                queues: 1,
                ..losses
            },
            ..three
        },
    );
}

/// One dead waiter is all that a script passes over.
#[test]
fn more_dead_waiters_than_a_script_passes_over() {
    let few = Config {
        clients: vec![1, 1, 1],
        warm: true,
        pops: 1,
        slow: false,
        patience: 2,
        ..Config::default()
    };
    holds(
        "two dead waiters",
        Config {
            faults: Faults {
                kills: 2,
                ..Faults::default()
            },
            ..few.clone()
        },
    );
    holds(
        "a dead waiter, a stranger",
        Config {
            faults: Faults {
                kills: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..few
        },
    );
}

/// With a TTL that is long beside the way to the server and back: the old holder does not go on until its renewal is due.
#[test]
fn holders_learn_of_a_restart() {
    let long = Config {
        renews: true,
        ttl: 4,
        check: 3,
        patience: 6,
        ..Config::default()
    };
    holds(
        "a restart on a slow network",
        Config {
            faults: Faults {
                restarts: 1,
                ..Faults::default()
            },
            ..long.clone()
        },
    );
    holds(
        "a restart, a stopped client",
        Config {
            slow: false,
            faults: Faults {
                restarts: 1,
                pauses: 1,
                ..Faults::default()
            },
            ..long
        },
    );
}
