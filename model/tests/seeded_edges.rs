//! Faults at the protocol's edges, each seeded back as in `seeded_bugs.rs`: late commands, forced releases, waiters that
//! nobody polls, a lost queue, dead waiters, a restart without data.

mod seeding;

use leaselock_model::properties::{
    BACK_TOGETHER, DEAD_LEAVE, FORCE_MEETS, LEARNS_SOON, NOT_FREE_BETWEEN, ONE_LEASE, QUIET,
    TAKEN_SOON,
};
use leaselock_model::{Bug, Config, Faults};
use seeding::{faults, finds, quick};

/// Field bug 45: a late renewal took back what an extension had set since.
#[test]
fn field_bug_45_a_late_renewal_never_shortens() {
    let faults = Faults {
        extends: 1,
        drops: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        ..quick()
    };
    finds(Bug::RenewalShortens, ONE_LEASE, Config { faults, ..renews });
}

/// Field bug 45: and so did a late first wait.
#[test]
fn field_bug_45_a_late_wait_never_shortens() {
    let faults = Faults {
        extends: 1,
        drops: 1,
        ..faults()
    };
    finds(Bug::ClaimShortens, ONE_LEASE, Config { faults, ..quick() });
}

/// Field bug 45: the one claim that may cut the claim window caps the lease when it is left behind.
#[test]
fn field_bug_45_a_claim_left_behind_is_remembered() {
    let faults = Faults {
        extends: 1,
        drops: 1,
        ..faults()
    };
    let short = Config {
        clients: vec![1, 1, 1],
        window: 3,
        check: 5,
        patience: 5,
        ..quick()
    };
    finds(Bug::ClaimUncapped, ONE_LEASE, Config { faults, ..short });
}

/// Field bug 46: a forced release that is sent again, or arrives late, broke the next holder's lease.
#[test]
fn field_bug_46_a_forced_release_ends_the_lease_it_met() {
    let faults = Faults {
        forces: 1,
        ..faults()
    };
    finds(Bug::ForceAnyone, FORCE_MEETS, Config { faults, ..quick() });
    let three = Config {
        clients: vec![1, 1, 1],
        ..quick()
    };
    finds(Bug::ForceAnyone, ONE_LEASE, Config { faults, ..three });
}

#[test]
fn a_deposed_holder_stops_at_its_next_renewal() {
    let faults = Faults {
        forces: 1,
        ..faults()
    };
    let renews = Config {
        renews: true,
        ..quick()
    };
    finds(Bug::DeposedGoesOn, ONE_LEASE, Config { faults, ..renews });
}

/// Two waiters in one client, the first of which nobody polls, behind a client that may be killed.
fn unpolled() -> Config {
    Config {
        clients: vec![1, 2],
        faults: Faults {
            stalls: 1,
            kills: 1,
            ..faults()
        },
        patience: 3, // the second looks a tick after the first
        ..quick()
    }
}

/// Field bug 47: a client's first waiter that is not polled starved the next one on a free name.
#[test]
fn field_bug_47_the_next_in_line_watches_whoever_is_before_it_in_its_client() {
    finds(Bug::FirstWatches, TAKEN_SOON, unpolled());
}

/// Field bug 47: and so did one behind other clients' waiters.
#[test]
fn field_bug_47_every_waiter_looks_at_last() {
    finds(Bug::OthersSleep, TAKEN_SOON, unpolled());
}

/// Field bug 48: after a loss of the queue, a client's waiters came back one by one.
#[test]
fn field_bug_48_a_client_has_its_waiters_ask_again() {
    let queues = Faults {
        queues: 1,
        ..faults()
    };
    let two = Config {
        clients: vec![1, 2],
        ttl: 5,
        check: 3,
        patience: 3,
        faults: queues,
        ..quick()
    };
    finds(Bug::QueueForgotten, BACK_TOGETHER, two);
    let flushes = Faults {
        flushes: 1,
        strangers: 1,
        ..faults()
    };
    let three = Config {
        clients: vec![3],
        ttl: 5,
        check: 3,
        patience: 5,
        faults: flushes,
        ..quick()
    };
    finds(Bug::QueueForgotten, BACK_TOGETHER, three);
}

/// Each of those that were told to ask again finds its own place lost, and would tell all others.
#[test]
fn waiters_have_each_other_ask_again_once() {
    let faults = Faults {
        queues: 1,
        strangers: 1,
        ..faults()
    };
    let three = Config {
        clients: vec![3],
        patience: 4,
        faults,
        ..quick()
    };
    finds(Bug::AllTellAll, QUIET, three.clone());
    finds(Bug::AskerToldToo, QUIET, three);
}

/// Field bug 51: killed waiters stayed in the queue for as long as the name was held.
#[test]
fn field_bug_51_a_look_drops_dead_waiters() {
    let faults = Faults {
        strangers: 1,
        kills: 1,
        ..faults()
    };
    let three = Config {
        clients: vec![1, 1, 1],
        ..quick()
    };
    finds(Bug::DeadStay, DEAD_LEAVE, Config { faults, ..three });
}

/// Field bug 51: past the most that one script passes over, a newcomer got in after an ordinary release.
#[test]
fn field_bug_51_a_name_with_a_queue_is_never_free_in_between() {
    let faults = Faults {
        kills: 1,
        ..faults()
    };
    let few = Config {
        clients: vec![2, 1, 1],
        pops: 1,
        ..quick()
    };
    finds(
        Bug::FreeInBetween,
        NOT_FREE_BETWEEN,
        Config { faults, ..few },
    );
}

/// Field bug 54: after a restart without data, the old holder went on until its next renewal was due.
#[test]
fn field_bug_54_everything_is_renewed_on_a_new_connection() {
    let faults = Faults {
        restarts: 1,
        ..faults()
    };
    let long = Config {
        renews: true,
        ttl: 5,
        check: 5,
        patience: 6,
        ..quick()
    };
    finds(Bug::RenewedWhenDue, LEARNS_SOON, Config { faults, ..long });
}
