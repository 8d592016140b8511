//! Holders and limits as they are, every state of each configuration as in `correct.rs`: readers and writers, permits, callers
//! that disagree, on slow networks, with messages lost, connections given up, acquires cancelled, and holders that die.

mod asking;
mod exhausting;

use asking::asking;
use exhausting::holds;
use leaselock_model::{Config, Faults};

#[test]
fn readers_and_writers() {
    holds("readers alone", asking("R R R"));
    holds("a writer between writers", asking("W R W"));
    holds(
        "two readers and a writer on a slow network",
        Config {
            slow: true,
            patience: 3,
            ..asking("R W R")
        },
    );
    holds(
        "two readers and a writer that come again",
        Config {
            attempts: 2,
            ..asking("R W R")
        },
    );
    holds(
        "a reader and a writer that come again on a slow network",
        Config {
            slow: true,
            warm: true,
            attempts: 2,
            patience: 3,
            ..asking("R W")
        },
    );
}

#[test]
fn permits() {
    holds("two permits of two", asking("2 2 2"));
    holds("two permits of two, four ask", asking("22 22"));
    holds("two permits, of two and of three", asking("2 3 2"));
    holds("two permits and a reader", asking("2 R 2"));
    holds("two permits and a writer", asking("2 W 2"));
    holds(
        "two permits and a writer, some try once",
        Config {
            tries: true,
            warm: true,
            ..asking("2 W 2")
        },
    );
}

#[test]
fn holders_that_die() {
    let kills = Faults {
        kills: 1,
        ..Faults::default()
    };
    for clients in ["R W R", "2 2 2"] {
        holds(
            &format!("{clients} renew, one killed"),
            Config {
                renews: true,
                faults: kills,
                ..asking(clients)
            },
        );
    }
    holds(
        "2 222, one killed",
        Config {
            patience: 3,
            faults: kills,
            ..asking("2 222")
        },
    );
}

/// With the fallback far away, it is the next in line that notices when there is room for it.
#[test]
fn the_next_in_line_watches_the_end_that_matters() {
    for clients in ["R W R", "2 2 2", "2 2 W"] {
        holds(
            &format!("{clients}, one killed, no fallback"),
            Config {
                ttl: 4,
                check: 8,
                faults: Faults {
                    kills: 1,
                    cancels: 1,
                    ..Faults::default()
                },
                ..asking(clients)
            },
        );
    }
}

#[test]
fn acquires_cancelled_on_connections_given_up() {
    let both = Faults {
        cancels: 1,
        drops: 1,
        ..Faults::default()
    };
    holds(
        "R W on a slow network, cancels and drops",
        Config {
            slow: true,
            patience: 4,
            faults: both,
            ..asking("R W")
        },
    );
    for clients in ["R W R", "2 2 2"] {
        holds(
            &format!("{clients}, cancels and drops"),
            Config {
                faults: both,
                ..asking(clients)
            },
        );
    }
    holds(
        "R W, cancels and two drops",
        Config {
            renews: true,
            faults: Faults { drops: 2, ..both },
            ..asking("R W")
        },
    );
}

#[test]
fn stopped_clients_and_lost_messages() {
    for (clients, renews) in [("R W R", true), ("2 2 2", false)] {
        holds(
            &format!("{clients}, one stopped"),
            Config {
                renews,
                faults: Faults {
                    pauses: 1,
                    ..Faults::default()
                },
                ..asking(clients)
            },
        );
    }
    for clients in ["R W R", "2 2 2"] {
        holds(
            &format!("{clients}, a lost message"),
            Config {
                renews: true,
                patience: 3,
                faults: Faults {
                    losses: 1,
                    ..Faults::default()
                },
                ..asking(clients)
            },
        );
    }
    holds(
        "R W on a slow network, lost messages, strangers",
        Config {
            slow: true,
            renews: true,
            patience: 4,
            faults: Faults {
                losses: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..asking("R W")
        },
    );
}

#[test]
fn connections_closed_by_the_server() {
    holds(
        "R W R, closed connections",
        Config {
            patience: 3,
            faults: Faults {
                closes: 1,
                cancels: 1,
                ..Faults::default()
            },
            ..asking("R W R")
        },
    );
}

/// Several waiters in one client, in the order in which they stand there.
#[test]
fn waiters_of_one_client() {
    holds(
        "R W RR",
        Config {
            patience: 3,
            ..asking("R W RR")
        },
    );
    holds(
        "R WR, kills, cancels and strangers",
        Config {
            patience: 3,
            faults: Faults {
                kills: 1,
                cancels: 1,
                strangers: 1,
                ..Faults::default()
            },
            ..asking("R WR")
        },
    );
    holds(
        "R WR, one not polled",
        Config {
            renews: true,
            patience: 3,
            faults: Faults {
                stalls: 1,
                kills: 1,
                losses: 1,
                ..Faults::default()
            },
            ..asking("R WR")
        },
    );
}
