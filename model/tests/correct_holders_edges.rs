//! Holders and limits at their edges, every state of each configuration as in `correct.rs`: releases by force, keys that are
//! lost, servers that come back with other data, wide claim windows, extensions, and more to admit than a script does.

mod asking;
mod exhausting;

use asking::asking;
use exhausting::holds;
use leaselock_model::{Config, Faults};

#[test]
fn releases_by_force() {
    let forces = Faults {
        forces: 1,
        ..Faults::default()
    };
    for clients in ["R W R", "2 2 2"] {
        holds(
            &format!("{clients}, a forced release"),
            Config {
                renews: true,
                faults: forces,
                ..asking(clients)
            },
        );
    }
    holds(
        "R W on a slow network, a forced release, sent twice",
        Config {
            slow: true,
            warm: true,
            renews: true,
            patience: 3,
            faults: forces,
            ..asking("R W")
        },
    );
}

#[test]
fn keys_that_are_lost() {
    let lost = [
        Faults {
            locks: 1,
            ..Faults::default()
        },
        Faults {
            holders: 1,
            ..Faults::default()
        },
    ];
    for faults in lost {
        for clients in ["R W R", "2 2 2"] {
            holds(
                &format!(
                    "{clients}, {} lock or {} holders lost",
                    faults.locks, faults.holders
                ),
                Config {
                    renews: true,
                    patience: 4,
                    faults,
                    ..asking(clients)
                },
            );
        }
    }
    holds(
        "R R, the lock lost, and taken by a stranger",
        Config {
            renews: true,
            patience: 4,
            attempts: 2,
            faults: Faults {
                locks: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..asking("R R")
        },
    );
    holds(
        "RW WR, the queue lost",
        Config {
            patience: 4,
            faults: Faults {
                queues: 1,
                ..Faults::default()
            },
            ..asking("RW WR")
        },
    );
}

#[test]
fn servers_that_come_back_with_other_data() {
    holds(
        "R W R, FLUSHALL",
        Config {
            warm: true,
            renews: true,
            patience: 4,
            faults: Faults {
                flushes: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..asking("R W R")
        },
    );
    holds(
        "R W on a slow network, a restart",
        Config {
            slow: true,
            warm: true,
            renews: true,
            patience: 5,
            faults: Faults {
                restarts: 1,
                ..Faults::default()
            },
            ..asking("R W")
        },
    );
    holds(
        "R W R, a failover",
        Config {
            patience: 4,
            faults: Faults {
                failovers: 1,
                ..Faults::default()
            },
            ..asking("R W R")
        },
    );
}

#[test]
fn grants_that_begin_leases() {
    let wide = |clients: &str| Config {
        ttl: 3,
        window: 2,
        patience: 3,
        ..asking(clients)
    };
    holds(
        "R W R, wide claim windows",
        Config {
            renews: true,
            ..wide("R W R")
        },
    );
    holds(
        "R W R, wide claim windows, drops",
        Config {
            faults: Faults {
                drops: 1,
                ..Faults::default()
            },
            ..wide("R W R")
        },
    );
    holds(
        "2 2 2, wide claim windows, one killed",
        Config {
            renews: true,
            faults: Faults {
                kills: 1,
                ..Faults::default()
            },
            ..wide("2 2 2")
        },
    );
    holds(
        "R W on a slow network, wide claim windows, one stopped",
        Config {
            slow: true,
            renews: true,
            faults: Faults {
                pauses: 1,
                ..Faults::default()
            },
            ..wide("R W")
        },
    );
}

#[test]
fn extensions_and_cut_claims_left_on_connections_given_up() {
    for clients in ["R W", "R R"] {
        holds(
            &format!("{clients}, extensions, and connections given up"),
            Config {
                renews: true,
                ttl: 3,
                faults: Faults {
                    extends: 1,
                    drops: 1,
                    ..Faults::default()
                },
                ..asking(clients)
            },
        );
    }
    let short = |clients: &str| Config {
        ttl: 2,
        window: 4,
        check: 6,
        patience: 6,
        ..asking(clients)
    };
    holds(
        "R W, claims that cut the claim window, and connections given up",
        Config {
            renews: true,
            faults: Faults {
                extends: 1,
                drops: 1,
                ..Faults::default()
            },
            ..short("R W")
        },
    );
    holds(
        "W R R, claims that cut the claim window, one killed",
        Config {
            faults: Faults {
                kills: 1,
                ..Faults::default()
            },
            ..short("W R R")
        },
    );
}

/// One waiter is all that a script admits or passes over.
#[test]
fn more_waiters_than_a_script_admits() {
    holds(
        "W R R, two killed",
        Config {
            pops: 1,
            warm: true,
            faults: Faults {
                kills: 2,
                ..Faults::default()
            },
            ..asking("W R R")
        },
    );
    holds(
        "W RRR, no fallback",
        Config {
            pops: 1,
            ttl: 4,
            check: 8,
            faults: Faults {
                cancels: 1,
                ..Faults::default()
            },
            ..asking("W RRR")
        },
    );
}
