//! News reaches the waiters that it is about, and no others.

use super::{WaitingRoom, news};
use crate::claim::Claim;
use crate::limit::Limit;
use crate::name::{LockId, Name};
use crate::store::{Event, Scope};

fn claim(name: &str) -> std::sync::Arc<Claim> {
    let name = Name::new(name).expect("a name");
    Claim::fresh(LockId::new(&"app".into(), name), None, Limit::EXCLUSIVE)
}

#[test]
fn only_waiters_for_locks_in_scope_ask_again_after_a_reset() {
    let room = WaitingRoom::default();
    let (moved, other) = (claim("moved"), claim("other"));
    let of_moved = room.enter(&moved).expect("a waiter");
    let of_other = room.enter(&other).expect("a waiter");
    let lock = moved.lock.clone();
    let reset = |scope| Event::Reset {
        scope,
        is_new: true,
    };
    room.on_event(&reset(Scope::of(move |of| *of == lock)));
    assert_eq!(of_moved.take_news(), news::RECHECK);
    assert_eq!(of_other.take_news(), 0);
    room.on_event(&reset(Scope::all()));
    assert_eq!(of_moved.take_news(), news::RECHECK);
    assert_eq!(of_other.take_news(), news::RECHECK);
}
