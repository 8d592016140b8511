//! What a reset is about is renewed at once, and nothing else; and what comes again and again, no more often than is of use.

use std::sync::Arc;
use std::time::Duration;

use super::{Kept, Schedule};
use crate::claim::Claim;
use crate::clock::Moment;
use crate::holding::{Holding, Start};
use crate::options::{AcquireOptions, Request, Unit};
use crate::store::Scope;

/// A schedule with leases on these names, numbered from 0, all due at `due`.
fn schedule(names: &[&str], due: Moment) -> Schedule {
    let mut schedule = Schedule::default();
    for (id, name) in (0..).zip(names) {
        let request = Request::new(name, AcquireOptions::default(), Unit::Seconds);
        let request = request.expect("a request");
        let claim = Claim::fresh(request.lock(&"app".into()), None, request.limit());
        let start = Start::for_ttl(1, Moment::now());
        let holding = Holding::new(claim, &request, &start, false, None, tracing::Span::none());
        let kept = Kept::new(due, Arc::new(holding));
        schedule.leases.insert(id, kept);
        schedule.due.insert((due, id));
    }
    schedule
}

#[test]
fn only_leases_on_locks_in_scope_are_renewed_at_once() {
    let now = Moment::now();
    let later = now + Duration::from_secs(10);
    let mut schedule = schedule(&["moved", "other"], later);
    let of_moved = Scope::of(|lock| &**lock.name() == "moved");
    assert!(schedule.hurry_all(now, &of_moved));
    let due: Vec<_> = schedule.due.iter().copied().collect();
    assert_eq!(due, [(now, 0), (later, 1)]);
    assert!(!schedule.hurry_all(now, &of_moved));
    assert!(schedule.hurry_all(now, &Scope::all()));
    let due: Vec<_> = schedule.due.iter().copied().collect();
    assert_eq!(due, [(now, 0), (now, 1)]);
}

#[test]
fn a_lease_of_which_there_is_always_news_has_its_rest() {
    let (begun, term) = (Moment::now(), Duration::from_secs(12));
    let mut schedule = schedule(&["res"], begun + term);
    let mut renewals = Vec::new();
    for passed in 0..3_000 {
        let now = begun + Duration::from_millis(passed);
        schedule.hurry_all(now, &Scope::all());
        for (id, holding, _) in schedule.take_due(now) {
            schedule.on_renewing(id, &holding, now, term);
            renewals.push(passed);
            // The deadline, as long as it is under way.
            let kept = schedule.leases.get_mut(&id).expect("a lease");
            kept.due = now + term;
            schedule.due.insert((kept.due, id));
        }
    }
    assert_eq!(renewals, [0, 1_000, 2_000]);
}
