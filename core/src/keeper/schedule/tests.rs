//! What a reset is about is renewed at once, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::Schedule;
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
        schedule.leases.insert(id, (due, Arc::new(holding)));
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
