//! Rules that look fussy: each is broken by a seeded bug, in a configuration that is free of counterexamples without it,
//! and the checker finds where that leads.

mod seeding;

use leaselock_model::properties::{NEWEST_TOKEN, NOTHING_LEFT, ONE_LEASE, TAKEN_SOON, TOKENS_GROW};
use leaselock_model::{Bug, Config, Faults};
use seeding::{faults, finds, quick};

#[test]
fn a_grant_is_no_lease() {
    finds(Bug::GrantIsLease, ONE_LEASE, Config::default());
}

#[test]
fn a_grant_read_before_an_answer_begins_nothing() {
    finds(Bug::GrantOvertaken, ONE_LEASE, Config::default());
}

#[test]
fn the_token_is_the_claims() {
    finds(Bug::TokenFromGrant, NEWEST_TOKEN, Config::default());
}

#[test]
fn set_and_incr_are_one() {
    let faults = Faults {
        forces: 1,
        ..faults()
    };
    let warm = true;
    finds(
        Bug::CountApart,
        NEWEST_TOKEN,
        Config {
            warm,
            faults,
            ..quick()
        },
    );
}

#[test]
fn the_deadline_counts_from_sending() {
    finds(Bug::DeadlineFromAnswer, ONE_LEASE, Config::default());
}

#[test]
fn one_wait_is_unanswered_at_a_time() {
    finds(Bug::TwoWaits, ONE_LEASE, Config::default());
}

#[test]
fn cancelling_is_releasing() {
    let faults = Faults {
        cancels: 1,
        ..faults()
    };
    finds(
        Bug::CancelOnlyLeaves,
        NOTHING_LEFT,
        Config { faults, ..quick() },
    );
}

#[test]
fn a_claim_sets_the_full_ttl() {
    finds(Bug::ClaimKeepsExpiry, ONE_LEASE, Config::default());
}

#[test]
fn a_wait_seeds_the_counter() {
    let faults = Faults {
        restarts: 1,
        ..faults()
    };
    finds(Bug::NoSeed, TOKENS_GROW, Config { faults, ..quick() });
}

#[test]
fn a_take_needs_a_seed() {
    let faults = Faults {
        failovers: 1,
        ..faults()
    };
    let warm = true;
    finds(
        Bug::TakeUnseeded,
        TOKENS_GROW,
        Config {
            warm,
            faults,
            ..quick()
        },
    );
}

#[test]
fn a_low_count_is_no_token() {
    let faults = Faults {
        flushes: 1,
        ..faults()
    };
    let warm = true;
    finds(
        Bug::LowCountIsToken,
        TOKENS_GROW,
        Config {
            warm,
            faults,
            ..quick()
        },
    );
}

#[test]
fn undoing_is_repeated_after_a_broken_connection() {
    let faults = Faults {
        cancels: 1,
        drops: 1,
        ..faults()
    };
    finds(Bug::UndoOnce, NOTHING_LEFT, Config { faults, ..quick() });
}

#[test]
fn a_try_remembers_its_unanswered_take() {
    let faults = Faults {
        drops: 1,
        ..faults()
    };
    let tries = Config {
        waits: false,
        tries: true,
        ..quick()
    };
    finds(Bug::TryForgets, NOTHING_LEFT, Config { faults, ..tries });
}

#[test]
fn a_renewal_never_recreates() {
    let renews = true;
    finds(
        Bug::RenewRecreates,
        NOTHING_LEFT,
        Config {
            renews,
            ..Config::default()
        },
    );
}

#[test]
fn a_renewal_never_revives() {
    let faults = Faults {
        drops: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        patience: 4,
        ..Config::default()
    };
    finds(
        Bug::RenewalRevives,
        NEWEST_TOKEN,
        Config { faults, ..renews },
    );
}

#[test]
fn the_clock_of_a_stopped_client_goes_on() {
    let faults = Faults {
        pauses: 1,
        ..faults()
    };
    finds(Bug::ClockStops, ONE_LEASE, Config { faults, ..quick() });
}

#[test]
fn a_shorter_extension_left_behind_is_remembered() {
    let faults = Faults {
        extends: 1,
        drops: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        ttl: 3,
        ..quick()
    };
    finds(Bug::ExtendForgets, ONE_LEASE, Config { faults, ..renews });
}

#[test]
fn somebody_looks_when_a_holder_has_died() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    finds(Bug::NoFallback, TAKEN_SOON, Config { faults, ..quick() });
}

#[test]
fn the_next_in_line_is_told() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let far = Config {
        clients: vec![1, 1, 1],
        ttl: 4,
        check: 8,
        ..quick()
    };
    finds(Bug::NextNotTold, TAKEN_SOON, Config { faults, ..far });
}

#[test]
fn the_next_hears_of_a_lease_shorter_than_the_claim_window() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let short = Config {
        clients: vec![1, 1, 1],
        ttl: 2,
        window: 6,
        check: 12,
        ..quick()
    };
    finds(
        Bug::ShortClaimNotTold,
        TAKEN_SOON,
        Config { faults, ..short },
    );
}

#[test]
fn waiters_ask_again_after_a_lost_connection() {
    let faults = Faults {
        drops: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 8,
        ..quick()
    };
    finds(Bug::NoRecheck, TAKEN_SOON, Config { faults, ..far });
}
