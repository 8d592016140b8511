//! A process that forks with a store open: parent and child exclude each other like any two processes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use leaselock::blocking::Client;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, getppid};

use crate::children::{MARK, Other, number_in, url};
use crate::places::{Folder, ms, queued, until};

#[test]
fn a_forked_child_has_locks_of_its_own() {
    let folder = Folder::new();
    let number = folder.path().join("number");
    std::fs::write(&number, 0_u64.to_ne_bytes()).expect("written");
    let mut parent = Other::start(&folder.url());
    parent.ask("acquire job 60000");
    assert_eq!(
        parent.ask(&format!("fork {} 300 number", number.display())),
        "job is held"
    );
    // Both count now, the child with a client made after the fork.
    parent.tell(&format!("count {} 300 number", number.display()));
    let mut ended = 0;
    while ended < 2 {
        ended += usize::from(parent.hear() == "done");
    }
    assert_eq!(number_in(&number), 600);
    assert!(
        parent.ask("release").starts_with("true"),
        "the child has not touched the parent's lease"
    );
    parent.end();
    until("both have closed it", || {
        folder.content() == ["locks.db", "number"]
    });
}

#[test]
fn a_forked_child_does_not_keep_its_parents_inbox_alive() {
    let folder = Folder::new();
    let client = folder.blocking();
    let first = client.acquire("first").call().expect("acquired");
    let lease = client.acquire("job").call().expect("acquired");
    let mut parent = Other::start(&folder.url());
    // Waiting once opens its inbox.
    parent.tell("acquire first 5000");
    queued(&client, "first", 1);
    assert!(first.release().expect("released"));
    parent.hear();
    assert_eq!(parent.ask("fork-and-outlive"), "forked");
    parent.tell("acquire job 5000");
    queued(&client, "job", 1);
    parent.kill();
    let start = Instant::now();
    assert!(lease.release().expect("released"));
    let next = client.acquire("job").call().expect("acquired");
    assert!(
        start.elapsed() < ms(1_000),
        "the dead parent was granted it"
    );
    assert!(next.release().expect("released"));
}

#[test]
fn forks_while_other_threads_use_the_store_do_not_hang() {
    let folder = Folder::new();
    let mut parent = Other::start(&folder.url());
    assert_eq!(parent.ask("fork-often 100"), "100 ended well");
    parent.end();
}

/// Orders to the other process that have it fork.
pub(crate) fn order(words: &[&str], client: &Client) -> String {
    match words {
        // fork FILE TIMES NAME: the child counts too; says so when it begins and when it is done
        ["fork", file, times, name] => {
            if fork() == Fork::Child {
                let client = Client::new(&url()).expect("a client");
                let job = client.try_acquire("job").call().expect("an answer");
                say(if job.is_none() {
                    "job is held"
                } else {
                    "job is free"
                });
                crate::children::count(
                    &client,
                    Path::new(file),
                    times.parse().expect("a number"),
                    name,
                );
                client.close().expect("closed");
                say("done");
                std::process::exit(0);
            }
            String::new()
        }
        ["fork-and-outlive"] => {
            let parent = getpid();
            if fork() == Fork::Child {
                while getppid() == parent {
                    std::thread::sleep(ms(10));
                }
                std::thread::sleep(ms(5_000));
                std::process::exit(0);
            }
            "forked".to_owned()
        }
        // fork-often TIMES: each child uses the store, while two threads of the parent do
        ["fork-often", times] => {
            let times: u32 = times.parse().expect("a number");
            let stop = AtomicBool::new(false);
            let well = std::thread::scope(|threads| {
                for name in ["a", "b"] {
                    let stop = &stop;
                    threads.spawn(move || {
                        while !stop.load(Relaxed) {
                            let lease = client.acquire(name).call().expect("acquired");
                            assert!(lease.release().expect("released"));
                        }
                    });
                }
                let well = (0..times).filter(|_| child_ends_well()).count();
                stop.store(true, Relaxed);
                well
            });
            format!("{well} ended well")
        }
        other => panic!("no such order: {other:?}"),
    }
}

fn child_ends_well() -> bool {
    match fork() {
        Fork::Child => {
            let client = Client::new(&url()).expect("a client");
            let lease = client.acquire("c").call().expect("acquired");
            let well = lease.release().expect("released") && client.close().is_ok();
            std::process::exit(i32::from(!well));
        }
        Fork::Parent(child) => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
    }
}

#[derive(PartialEq)]
enum Fork {
    Parent(Pid),
    Child,
}

/// Forks as the bindings do.
#[allow(unsafe_code)] // there is no other way to fork, and the child is this test's alone
fn fork() -> Fork {
    leaselock::fork::prepare();
    // SAFETY: the child uses what was locked by other threads only after leaselock said that it may, and ends by `exit`.
    match unsafe { nix::unistd::fork() }.expect("forked") {
        ForkResult::Parent { child } => {
            leaselock::fork::parent();
            Fork::Parent(child)
        }
        ForkResult::Child => {
            leaselock::fork::child();
            Fork::Child
        }
    }
}

/// Past the standard output's own lock, which another thread may have held in the parent.
fn say(answer: &str) {
    let line = format!("\n{MARK}{answer}\n");
    nix::unistd::write(std::io::stdout(), line.as_bytes()).expect("heard");
}
