//! What seeds have found in the core, each as a plan of its own.

use leaselock_simulation::worlds::{
    Acquire, Act, Delays, Item, Millis, Outcome, Plan, Setting, What, run,
};

/// A world with one lock in it.
fn world(seed: u64, delays: Delays, acquire: Acquire) -> Outcome {
    let plan = Plan {
        seed,
        clients: 1,
        names: 1,
        command_timeout: match delays {
            Delays::Distant => 5_000,
            _ => 1_000,
        },
        dedicated: true,
        shuffled: 0,
        delays,
        items: vec![Item {
            id: 0,
            at: 0,
            what: What::Acquire(acquire),
        }],
    };
    let outcome = run(
        &plan,
        &Setting {
            with_steps: true,
            ..Setting::default()
        },
    );
    println!("{plan}{}", outcome.steps.join("\n"));
    outcome
}

fn acquire(ttl: Millis, renew: bool, then: Vec<Act>) -> Acquire {
    Acquire {
        client: 0,
        name: 0,
        limit: 1,
        ttl,
        wait: Some(0),
        renew,
        max_hold: None,
        cancelled: None,
        then,
    }
}

fn is_lost(outcome: &Outcome) -> bool {
    let mut steps = outcome.steps.iter();
    steps.any(|step| step.contains("lost its lease"))
}

/// The lease ran out while its extension was under way, which the server had carried out: the lock stayed for the new TTL, and nobody
/// gave it back.
#[test]
fn an_extension_that_is_answered_after_the_deadline_leaves_nothing() {
    for seed in 0..50 {
        let then = vec![Act::Hold(250), Act::Extend(20_000), Act::Hold(100)];
        let outcome = world(seed, Delays::Long, acquire(300, false, then));
        assert_eq!(outcome.violation, None);
    }
}

/// An extension to little was given up, so no more is counted on than that of the next one, to much, and the lease ran out with the server
/// having it for long.
#[test]
fn a_lease_that_runs_out_by_an_extension_that_was_given_up_leaves_nothing() {
    let then = vec![
        Act::Hold(20),
        Act::ExtendAndCancel(300, 0),
        Act::Hold(30),
        Act::Extend(30_000),
        Act::Hold(700),
    ];
    let outcome = world(1, Delays::Short, acquire(500, false, then));
    assert_eq!(outcome.leases, 1);
    assert_eq!(outcome.violation, None);
}

/// A renewal that gained nothing, because the one before it had been sent in the same tick of the clock, was the last one, as if the lease
/// had a `max_hold`.
#[test]
fn a_lease_without_max_hold_is_renewed_again_after_a_renewal_that_gained_nothing() {
    let then = vec![
        Act::Hold(100),
        Act::ExtendAndCancel(10_000, 0),
        Act::Hold(3_000),
        Act::Release,
    ];
    let outcome = world(1, Delays::None, acquire(500, true, then));
    assert_eq!(outcome.leases, 1);
    assert_eq!(outcome.violation, None);
    assert!(!is_lost(&outcome), "it was not renewed");
}

/// Every renewal is answered later than one is waited for, by a connection that is suspect by then. The next one was sent a third of the
/// TTL after that, and could not be answered in time.
#[test]
fn a_lease_whose_every_renewal_is_late_is_kept() {
    for seed in 0..100 {
        let then = vec![Act::Hold(30_000), Act::Release];
        let outcome = world(seed, Delays::Distant, acquire(1_200, true, then));
        assert_eq!(outcome.leases, 1);
        assert_eq!(outcome.violation, None);
        assert!(outcome.lasted > 30_000);
        assert!(!is_lost(&outcome), "seed {seed}");
    }
}
