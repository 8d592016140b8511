//! What a user's hook does, whatever that is, keeps nobody from anything.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use leaselock::blocking::Client;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

/// The hook was dropped with the lease's state locked, and with it the lease, which asks for its state.
#[test]
fn a_lease_that_only_its_hook_keeps_is_given_back_with_its_client() {
    let (closed, is_closed) = channel();
    thread::spawn(move || {
        let client = Client::new("memory:kept-by-its-hook").expect("a client");
        let lease = Arc::new(client.acquire("lamp").call().expect("acquired"));
        let kept = lease.clone();
        lease.on_lost(Box::new(move |_| drop(kept)));
        drop(lease);
        closed.send(client.close().is_ok())
    });
    assert_eq!(is_closed.recv_timeout(LONG), Ok(true));
}

#[test]
fn a_hook_of_a_group_that_panics_keeps_the_others_from_nothing() {
    let client = Client::new("memory:hook-that-panics").expect("a client");
    let both = client.acquire_all(["desk", "lamp"]);
    let both = both.ttl(Duration::from_millis(300)).call();
    let both = both.expect("acquired");
    let told = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let told = told.clone();
        both.on_lost(Box::new(move |_| {
            told.fetch_add(1, SeqCst);
            // As a panic does, without its trace.
            resume_unwind(Box::new("a user's mistake"));
        }));
    }
    client.force_release("lamp").expect("an answer");
    assert!(both.wait_lost(Some(LONG)).expect("a wait"));
    assert!(!both.held());
    both.on_lost(Box::new(|_| {
        resume_unwind(Box::new("a user's mistake"));
    }));
    assert_eq!(told.load(SeqCst), 2);
}
