//! What holders and limits rest on: each rule is broken by a seeded bug, as in `seeded_bugs.rs`.

mod asking;
mod seeding;

use asking::asking;
use leaselock_model::properties::{
    FORCE_MEETS, IN_ORDER, LASTS, NEWEST_TOKEN, ONE_LEASE, ROOM, TAKEN_SOON,
};
use leaselock_model::{Bug, Config, Faults};
use seeding::{faults, finds};

#[test]
fn a_reader_does_not_overtake_a_waiting_writer() {
    finds(Bug::ReaderOvertakes, IN_ORDER, asking("R W R"));
}

#[test]
fn the_lock_lives_as_long_as_its_holders() {
    let renews = Config {
        renews: true,
        ..asking("R W")
    };
    finds(Bug::MarkerNotRenewed, LASTS, renews.clone());
    finds(Bug::MarkerNotRenewed, ONE_LEASE, renews);
    let renews = Config {
        renews: true,
        ..asking("R W R")
    };
    finds(Bug::MarkerShortened, LASTS, renews);
}

#[test]
fn the_lock_lives_no_longer_than_its_holders() {
    let renews = Config {
        renews: true,
        ..asking("R R")
    };
    finds(Bug::MarkerOutlives, LASTS, renews);
}

#[test]
fn a_dead_permit_is_free_again() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        faults,
        ..asking("2 2 2")
    };
    finds(Bug::DeadPermitStays, TAKEN_SOON, renews);
}

#[test]
fn a_hand_over_admits_no_more_than_there_is_room_for() {
    finds(Bug::BatchBreaksLimit, ROOM, asking("2 2 2"));
    finds(Bug::BatchBreaksLimit, ONE_LEASE, asking("2 2 2"));
}

#[test]
fn a_forced_release_ends_all_holders() {
    let faults = Faults {
        forces: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        faults,
        ..asking("R W R")
    };
    finds(Bug::HoldersSurviveForce, NEWEST_TOKEN, renews);
}

#[test]
fn a_forced_release_ends_no_holder_that_came_later() {
    let faults = Faults {
        forces: 1,
        ..faults()
    };
    finds(
        Bug::ForceAnyone,
        FORCE_MEETS,
        Config {
            faults,
            ..asking("R R")
        },
    );
}

#[test]
fn a_lock_that_is_gone_has_no_holders() {
    let faults = Faults {
        locks: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        faults,
        patience: 4,
        ..asking("R W R")
    };
    finds(Bug::OldHoldersStay, NEWEST_TOKEN, renews);
}

#[test]
fn who_is_behind_a_head_that_leaves_comes_in() {
    let faults = Faults {
        cancels: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 8,
        faults,
        ..asking("R W R")
    };
    finds(Bug::HeadLeavesQuietly, TAKEN_SOON, far);
}

#[test]
fn who_is_behind_a_dead_head_comes_in() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 3,
        renews: true,
        faults,
        ..asking("R W R")
    };
    finds(Bug::PrunedQuietly, TAKEN_SOON, far);
}

#[test]
fn who_asks_comes_in_with_those_behind_it() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 8,
        faults,
        ..asking("W R R")
    };
    finds(Bug::RunEndsAtAsker, TAKEN_SOON, far);
}

#[test]
fn the_next_in_line_hears_that_it_has_less_to_watch() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 8,
        faults,
        ..asking("R W R")
    };
    finds(Bug::EarlierEndNotTold, TAKEN_SOON, far);
}

#[test]
fn a_permit_watches_the_end_that_makes_room() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let far = Config {
        ttl: 4,
        check: 8,
        faults,
        renews: true,
        ..asking("2 2 2")
    };
    finds(Bug::PermitWatchesLatest, TAKEN_SOON, far);
}

#[test]
fn a_renewal_never_enters_again() {
    let faults = Faults {
        drops: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        faults,
        ..asking("2 2 2")
    };
    finds(Bug::RenewalReenters, ROOM, renews);
}

#[test]
fn the_rest_of_a_long_run_is_told() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let few = Config {
        pops: 1,
        ttl: 4,
        check: 8,
        faults,
        ..asking("W R R")
    };
    finds(Bug::RestNotTold, TAKEN_SOON, few);
}
