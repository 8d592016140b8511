//! Holders and limits as they are, every state of each configuration as in `correct.rs`: readers and writers, permits, callers
//! that disagree, and what becomes of holders that die, that are ended by force, and whose keys are lost.

mod exhausting;

use exhausting::holds;
use leaselock_model::config::{EXCLUSIVE as W, SHARED as R};
use leaselock_model::{Config, Faults};

/// One task in each client, messages that arrive at once.
fn each(limits: &[u8]) -> Config {
    Config {
        clients: vec![1; limits.len()],
        limits: limits.iter().map(|limit| vec![*limit]).collect(),
        slow: false,
        patience: 2,
        ..Config::default()
    }
}

fn faults() -> Faults {
    Faults::default()
}

#[test]
fn readers_and_writers() {
    holds(
        "a reader and a writer, slow",
        Config {
            slow: true,
            patience: 3,
            ..each(&[R, W])
        },
    );
    holds(
        "two readers, slow",
        Config {
            slow: true,
            patience: 3,
            ..each(&[R, R])
        },
    );
    holds("two readers and a writer", each(&[R, W, R]));
    holds("two writers and a reader", each(&[W, R, W]));
    holds("three readers", each(&[R, R, R]));
    holds(
        "two readers and a writer, slow",
        Config {
            slow: true,
            patience: 3,
            ..each(&[R, W, R])
        },
    );
}

#[test]
fn permits() {
    holds("three of two permits", each(&[2, 2, 2]));
    holds(
        "three of two permits, slow",
        Config {
            slow: true,
            patience: 3,
            ..each(&[2, 2, 2])
        },
    );
    holds("two, two and three", each(&[2, 3, 2]));
    holds("two permits and a reader", each(&[2, R, 2]));
    holds("two permits and a writer", each(&[2, W, 2]));
}

#[test]
fn renewals() {
    holds(
        "RWR renews",
        Config {
            renews: true,
            ..each(&[R, W, R])
        },
    );
    holds(
        "222 renews",
        Config {
            renews: true,
            ..each(&[2, 2, 2])
        },
    );
    holds(
        "RR renews slow",
        Config {
            renews: true,
            slow: true,
            patience: 3,
            ..each(&[R, R])
        },
    );
    holds(
        "RWR renews kill",
        Config {
            renews: true,
            faults: Faults {
                kills: 1,
                ..faults()
            },
            ..each(&[R, W, R])
        },
    );
    holds(
        "222 renews kill",
        Config {
            renews: true,
            faults: Faults {
                kills: 1,
                ..faults()
            },
            ..each(&[2, 2, 2])
        },
    );
}

#[test]
fn cancels_drops() {
    let f = Faults {
        cancels: 1,
        drops: 1,
        ..faults()
    };
    holds(
        "RW cancels drops slow",
        Config {
            slow: true,
            patience: 4,
            faults: f,
            ..each(&[R, W])
        },
    );
    holds(
        "RR cancels drops slow",
        Config {
            slow: true,
            patience: 4,
            faults: f,
            ..each(&[R, R])
        },
    );
    holds(
        "RWR cancels drops",
        Config {
            faults: f,
            ..each(&[R, W, R])
        },
    );
    holds(
        "222 cancels drops",
        Config {
            faults: f,
            ..each(&[2, 2, 2])
        },
    );
}
#[test]
fn no_fallback() {
    let far = |limits: &[u8]| Config {
        ttl: 4,
        check: 8,
        faults: Faults {
            kills: 1,
            cancels: 1,
            ..faults()
        },
        ..each(limits)
    };
    holds("RWR far", far(&[R, W, R]));
    holds("222 far", far(&[2, 2, 2]));
    holds("22W far", far(&[2, 2, W]));
}
#[test]
fn forces() {
    let f = Faults {
        forces: 1,
        ..faults()
    };
    holds(
        "RWR force",
        Config {
            renews: true,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    holds(
        "222 force",
        Config {
            renews: true,
            faults: f,
            ..each(&[2, 2, 2])
        },
    );
}
#[test]
fn losses() {
    let f = Faults {
        flushes: 1,
        ..faults()
    };
    holds(
        "RWR flush",
        Config {
            renews: true,
            patience: 4,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    let f = Faults {
        locks: 1,
        strangers: 1,
        ..faults()
    };
    holds(
        "RWR locks",
        Config {
            renews: true,
            patience: 4,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    let f = Faults {
        holders: 1,
        ..faults()
    };
    holds(
        "RWR holders",
        Config {
            renews: true,
            patience: 4,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    let f = Faults {
        failovers: 1,
        ..faults()
    };
    holds(
        "RWR failover",
        Config {
            patience: 4,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    let f = Faults {
        restarts: 1,
        ..faults()
    };
    holds(
        "RWR restart",
        Config {
            patience: 4,
            faults: f,
            ..each(&[R, W, R])
        },
    );
}
#[test]
fn pops() {
    let few = |limits: &[u8]| Config {
        pops: 1,
        faults: Faults {
            kills: 1,
            ..faults()
        },
        ..each(limits)
    };
    holds("WRR pops", few(&[W, R, R]));
    holds("222 pops", few(&[2, 2, 2]));
    holds("RWR pops", few(&[R, W, R]));
}
#[test]
fn pauses() {
    let f = Faults {
        pauses: 1,
        ..faults()
    };
    holds(
        "RWR pauses renew",
        Config {
            renews: true,
            faults: f,
            ..each(&[R, W, R])
        },
    );
    holds(
        "222 pauses",
        Config {
            faults: f,
            ..each(&[2, 2, 2])
        },
    );
}
