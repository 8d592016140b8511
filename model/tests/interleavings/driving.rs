//! The thread of a blocking client drives whenever no caller does, and ends when it is told to.

#[path = "../../../core/src/blocking/background/turns.rs"]
mod turns;

use std::rc::Rc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use self::turns::Turns;

mod primitives {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};

    /// As tokio's: who waits takes a permit, and there is never more than one.
    pub(super) struct Notify {
        permit: Mutex<bool>,
        given: Condvar,
    }

    impl Notify {
        pub(super) fn new() -> Self {
            Self {
                permit: Mutex::new(false),
                given: Condvar::new(),
            }
        }

        pub(super) fn notify_one(&self) {
            *lock(&self.permit) = true;
            self.given.notify_one();
        }

        pub(super) fn wait(&self) {
            let mut permit = lock(&self.permit);
            while !*permit {
                permit = wait(&self.given, permit);
            }
            *permit = false;
        }
    }

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no panic")
    }

    pub(super) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condition.wait(guard).expect("no panic")
    }
}

/// A thread that drives while it is alone, as the core's.
struct Driver {
    turns: Turns<()>,
    /// Whether it drives now, and has not been told to step aside.
    drives: Mutex<bool>,
    begins: Condvar,
}

impl Driver {
    fn drive_while_alone(&self) {
        loop {
            *self.drives.lock().expect("no panic") = true;
            self.begins.notify_one();
            self.turns.step_aside.wait();
            *self.drives.lock().expect("no panic") = false;
            if self.turns.wait().is_some() {
                return;
            }
        }
    }

    fn call(&self) {
        self.turns.begin();
        self.turns.end();
    }
}

/// So many callers at once; with nobody there any more the thread drives, until it is stopped.
fn called_by(callers: usize, stops_at_once: bool) {
    let mut model = loom::model::Builder::new();
    // More takes minutes.
    model.preemption_bound = Some(3);
    model.check(move || {
        let driver = Rc::new(Driver {
            turns: Turns::new(),
            drives: Mutex::new(false),
            begins: Condvar::new(),
        });
        let of_driver = driver.clone();
        let alone = thread::spawn(move || of_driver.drive_while_alone());
        let others: Vec<_> = (1..callers)
            .map(|_| {
                let theirs = driver.clone();
                thread::spawn(move || theirs.call())
            })
            .collect();
        driver.call();
        for other in others {
            other.join().expect("no panic");
        }
        if !stops_at_once {
            let mut is_driving = driver.drives.lock().expect("no panic");
            while !*is_driving {
                is_driving = driver.begins.wait(is_driving).expect("no panic");
            }
        }
        driver.turns.stop(());
        alone.join().expect("no panic");
    });
}

#[test]
fn the_thread_drives_when_the_caller_has_gone() {
    called_by(1, false);
}

#[test]
fn the_thread_drives_when_both_callers_have_gone() {
    called_by(2, false);
}

#[test]
fn the_thread_ends_whatever_it_does() {
    called_by(2, true);
}
