//! What seeds have found in the core, each as a plan of its own.

use leaselock_simulation::worlds::{
    Acquire, Act, Delays, Fault, Item, Millis, Outcome, Plan, Setting, What, run,
};

/// A world with one lease in it.
fn world(seed: u64, delays: Delays, acquire: Acquire) -> Outcome {
    whole(seed, delays, vec![(0, What::Acquire(acquire))])
}

/// A world with one client in it, and what happens when.
fn whole(seed: u64, delays: Delays, items: Vec<(Millis, What)>) -> Outcome {
    let items = items.into_iter().enumerate();
    let plan = Plan {
        seed,
        clients: 1,
        names: 3,
        command_timeout: match delays {
            Delays::Distant => 5_000,
            _ => 1_000,
        },
        dedicated: true,
        shuffled: 0,
        delays,
        items: items
            .map(|(id, (at, what))| Item { id, at, what })
            .collect(),
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
        names: vec![0],
        limit: 1,
        ttl,
        wait: Some(0),
        renew,
        max_hold: None,
        min_hold: None,
        cancelled: None,
        then,
    }
}

/// Nobody has the name at the end.
fn is_free(outcome: &Outcome) -> bool {
    let steps = outcome.steps.iter().rev();
    let mut last = steps.filter(|step| step.contains("name 0 is held by"));
    last.next().is_some_and(|step| step.ends_with("[]"))
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

/// A lease was dropped in the millisecond in which it ran out, and nobody had looked at it since. The store had it for longer by an
/// extension that was given up, and kept it.
#[test]
fn a_lease_that_is_dropped_when_it_runs_out_leaves_nothing() {
    for more in 250..300 {
        let then = vec![
            Act::Hold(20),
            Act::ExtendAndCancel(10_000, 0),
            Act::Hold(more),
        ];
        let outcome = world(1, Delays::None, acquire(300, false, then));
        assert_eq!(outcome.leases, 1);
        assert_eq!(outcome.violation, None, "dropped {more} ms later");
    }
}

/// The server stopped for longer than a command's time-out when the lease ran out. It had carried out an extension that was given up, and had
/// the lease for much longer than its TTL, after which nobody released it any more.
#[test]
fn a_lease_that_runs_out_while_the_server_is_stopped_leaves_nothing() {
    for seed in 0..500 {
        let then = vec![
            Act::ExtendAndCancel(30_000, 3),
            Act::Hold(450),
            Act::Release,
        ];
        let stopped = Fault::StopServer { lasts: 2_500 };
        let items = vec![
            (0, What::Acquire(acquire(300, true, then))),
            (200, What::Fault(stopped)),
        ];
        let outcome = whole(seed, Delays::Long, items);
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}

/// After a first lease, so that there is a connection, another is asked for with `asked`; what that sends is held up, and arrives when the
/// connection has broken and `asked` has got its answer by the next one. Then comes what is `more`.
fn left_behind(asked: Acquire, more: &[(Millis, Fault)]) -> Outcome {
    let first = acquire(1_000, false, vec![Act::Release]);
    let held_up = Fault::Stall {
        client: 0,
        there: true,
        back: false,
        lasts: 100,
    };
    let breaks = Fault::Reset {
        client: 0,
        late: Some(800),
        unheard: 0,
    };
    let mut items = vec![
        (0, What::Acquire(first)),
        (2_050, What::Fault(held_up)),
        (2_100, What::Acquire(asked)),
        (2_120, What::Fault(breaks)),
    ];
    items.extend(more.iter().map(|&(at, fault)| (at, What::Fault(fault))));
    whole(1, Delays::None, items)
}

/// The name was handed over while its next holder looked by itself, and the look was the claim. It left the server with the claim window,
/// and nobody renewed or gave back.
#[test]
fn a_look_that_finds_the_name_handed_over_cuts_the_claim_window() {
    let mut lost = 0;
    for seed in 0..100 {
        for hold in (200..300).step_by(20) {
            let first = acquire(300, false, vec![Act::Hold(hold), Act::Release]);
            let next = Acquire {
                wait: None,
                ..acquire(100, false, vec![Act::Hold(1_000)])
            };
            let items = vec![(0, What::Acquire(first)), (50, What::Acquire(next))];
            let outcome = whole(seed, Delays::Long, items);
            assert_eq!(outcome.violation, None);
            let mut steps = outcome.steps.iter();
            if steps.any(|step| step.contains("op1 lost its lease")) {
                lost += 1;
                let gone = steps.take_while(|step| !step.contains("op1 drops its lease"));
                let mut gone = gone.filter(|step| step.contains("name 0 is held by []"));
                assert!(gone.next().is_some(), "seed {seed}, held for {hold} ms");
            }
        }
    }
    assert!(lost > 100);
}

/// Several names were found free, and the server took its time to say so of the last one: the lease on the first had run out, and whoever
/// asked got what was lost already.
#[test]
fn a_group_is_not_handed_out_lost() {
    let mut leases = 0;
    for seed in 0..100 {
        let both = Acquire {
            names: vec![0, 1],
            ..acquire(100, true, vec![Act::Release])
        };
        let outcome = world(seed, Delays::Long, both);
        assert_eq!(outcome.violation, None, "seed {seed}");
        leases += outcome.leases;
    }
    assert!(leases > 100);
}

/// Over this distance the first of three leases has run out before the last is there, unless all are tried at once. They were taken over
/// and over, also when the wait was over.
#[test]
fn a_group_that_cannot_be_had_ends_within_its_wait() {
    for wait in (3_000..5_000).step_by(100) {
        let one = Acquire {
            names: vec![2],
            ..acquire(30_000, true, vec![Act::Hold(2_000), Act::Release])
        };
        let all = Acquire {
            names: vec![0, 1, 2],
            wait: Some(wait),
            ..acquire(1_000, false, vec![Act::Release])
        };
        let items = vec![(0, What::Acquire(one)), (1_500, What::Acquire(all))];
        let outcome = whole(1, Delays::Distant, items);
        assert_eq!(outcome.violation, None, "wait {wait}");
    }
}

/// The lease was lost before the late command took the name again, and only a release was repeated later.
#[test]
fn a_lost_lease_is_not_left_to_a_command_on_a_broken_connection() {
    let then = vec![
        Act::Hold(10),
        Act::Extend(200),
        Act::Hold(1_500),
        Act::Release,
    ];
    let outcome = left_behind(acquire(30_000, false, then), &[]);
    assert_eq!(outcome.leases, 2);
    assert!(is_lost(&outcome));
    assert!(is_free(&outcome));
    assert_eq!(outcome.violation, None);
}

/// What undoes the late command was sent once, into a connection that was silent.
#[test]
fn what_is_undone_later_is_repeated_until_it_is_answered() {
    let given_up = Acquire {
        cancelled: Some(2),
        ..acquire(30_000, false, Vec::new())
    };
    let silent = Fault::Hole {
        client: 0,
        there: true,
        back: false,
    };
    let outcome = left_behind(given_up, &[(3_000, silent)]);
    assert_eq!(outcome.leases, 1);
    assert_eq!(outcome.violation, None);
}

/// The process was stopped until shortly before the lease ran out. Its first renewal then was carried out and had no answer, and the lease
/// ran out before it counted as failed: the server had the lease for another TTL, and nobody gave it back.
#[test]
fn a_renewal_that_is_under_way_when_the_lease_runs_out_leaves_nothing() {
    let mut lost = 0;
    for lasts in (18_000..19_800).step_by(100) {
        let then = vec![Act::Hold(21_000), Act::Release];
        let stopped = Fault::Stop { client: 0, lasts };
        let unheard = Fault::Hole {
            client: 0,
            there: false,
            back: true,
        };
        let items = vec![
            (0, What::Acquire(acquire(20_000, true, then))),
            (1_000, What::Fault(stopped)),
            (1_010, What::Fault(unheard)),
        ];
        let outcome = whole(1, Delays::None, items);
        assert_eq!(outcome.leases, 1);
        assert_eq!(outcome.violation, None, "stopped for {lasts} ms");
        lost += usize::from(is_lost(&outcome));
    }
    assert!(lost > 5);
}
