//! A fork finds nobody inside, and nobody comes in meanwhile.

#[path = "../../../core/src/fork/gate.rs"]
mod gate;

use std::rc::Rc;

use loom::cell::UnsafeCell;
use loom::thread;

use self::gate::Gate;
use self::primitives::AtomicUsize;

mod primitives {
    pub(super) use loom::sync::atomic::{AtomicUsize, Ordering};

    pub(super) use loom::thread::yield_now as pause;
}

/// A gate, and what is used inside, which many may at the same time, and changed by a fork.
#[derive(Clone)]
struct Guarded(Rc<(Gate, UnsafeCell<()>)>);

impl Guarded {
    fn new() -> Self {
        Self(Rc::new((
            Gate::of(AtomicUsize::new(0)),
            UnsafeCell::new(()),
        )))
    }

    fn use_it(&self) {
        let (gate, inside) = &*self.0;
        gate.enter();
        inside.with(|_| ());
        gate.leave();
    }

    fn fork(&self) {
        let (gate, inside) = &*self.0;
        gate.close(|| true);
        assert!(gate.is_closed());
        inside.with_mut(|_| ());
        gate.open();
    }
}

/// Each does one of these, all at the same time.
fn together(all: &'static [fn(&Guarded)]) {
    let mut model = loom::model::Builder::new();
    // Who waits looks again and again, so orders have no end: a thread is interrupted so often at most.
    model.preemption_bound = Some(2);
    model.check(|| {
        let guarded = Guarded::new();
        let (last, others) = all.split_last().expect("one at least");
        let others = others.iter().map(|work| {
            let guarded = guarded.clone();
            thread::spawn(move || work(&guarded))
        });
        let others: Vec<_> = others.collect();
        last(&guarded);
        for other in others {
            other.join().expect("no panic");
        }
        // It is open, and nobody is inside.
        guarded.use_it();
    });
}

#[test]
fn two_forks_take_turns() {
    together(&[Guarded::fork, Guarded::fork]);
}

#[test]
fn a_fork_meets_nobody_inside() {
    together(&[Guarded::use_it, Guarded::fork]);
}

#[test]
fn a_child_has_an_open_gate() {
    loom::model(|| {
        let Guarded(guarded) = Guarded::new();
        guarded.0.enter();
        guarded.0.leave();
        guarded.0.close(|| true);
        assert!(guarded.0.begin_anew());
        // The thread that forked was inside, and comes out now.
        guarded.0.leave();
        guarded.0.enter();
        assert!(!guarded.0.begin_anew());
    });
}
