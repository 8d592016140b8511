//! Waiting in other processes: in order, at once, and without work meanwhile.

use std::time::{Duration, Instant};

use crate::children::Other;
use crate::places::{Folder, ms, queued};

/// When it was, in nanoseconds since 1970: the second word of an answer.
fn at(answer: &str) -> u128 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_hand_over_to_another_process_takes_less_than_5_ms() {
    let folder = Folder::new();
    let client = folder.blocking();
    let mut pair = [Other::start(&folder.url()), Other::start(&folder.url())];
    pair[0].ask("acquire job 20000");
    let mut took = Vec::new();
    for turn in 0..100 {
        let (holder, waiter) = (turn % 2, (turn + 1) % 2);
        pair[waiter].tell("acquire job 20000");
        queued(&client, "job", 1);
        let released = at(&pair[holder].ask("release"));
        let acquired = at(&pair[waiter].hear());
        took.push(Duration::from_nanos(
            u64::try_from(acquired.saturating_sub(released)).expect("short"),
        ));
    }
    took.sort();
    eprintln!(
        "hand-over: p50 {:?}, p90 {:?}, worst {:?}",
        took[50], took[90], took[99]
    );
    assert!(took[50] < ms(5), "{took:?}");
}

#[test]
fn processes_are_served_in_the_order_in_which_they_came() {
    const WAITERS: usize = 12;
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client.acquire("job").call().expect("acquired");
    // Three processes with four waiters each, in no order of theirs: a process does one thing at a time.
    let mut waiters: Vec<Other> = (0..WAITERS).map(|_| Other::start(&folder.url())).collect();
    let order: Vec<usize> = (0..WAITERS).map(|place| place * 5 % WAITERS).collect();
    for (place, waiter) in order.iter().enumerate() {
        waiters[*waiter].tell("acquire job 20000");
        queued(&client, "job", place as u64 + 1);
    }
    assert!(lease.release().expect("released"));
    let mut tokens = Vec::new();
    for waiter in order {
        let answer = waiters[waiter].hear();
        tokens.push(
            answer
                .split(' ')
                .next()
                .expect("a token")
                .parse::<u64>()
                .expect("a token"),
        );
        waiters[waiter].ask("release");
    }
    assert!(tokens.is_sorted(), "{tokens:?}");
}

#[test]
fn who_waits_does_nothing_meanwhile() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client
        .acquire("job")
        .ttl(Duration::from_secs(60))
        .call()
        .expect("acquired");
    let mut waiter = Other::start(&folder.url());
    waiter.tell("acquire job 20000");
    queued(&client, "job", 1);
    std::thread::sleep(ms(200));
    let (before, start) = (waiter.processor_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let used = waiter.processor_time().saturating_sub(before);
    let elapsed = start.elapsed();
    eprintln!("an idle waiter used {used:?} in {elapsed:?}");
    assert!(used < elapsed / 100, "{used:?} of {elapsed:?}");
    assert!(lease.release().expect("released"));
    waiter.hear();
}

#[test]
fn nobody_slips_in_before_those_who_wait() {
    let folder = Folder::new();
    let client = folder.blocking();
    let mut holder = Other::start(&folder.url());
    holder.ask("acquire job 400");
    let mut waiter = Other::start(&folder.url());
    waiter.tell("acquire job 20000");
    queued(&client, "job", 1);
    // Its lease runs out unreleased. From then on the name is the waiter's, whoever asks first.
    holder.kill();
    let begun = Instant::now();
    while begun.elapsed() < ms(1_500) {
        assert!(
            client
                .try_acquire("job")
                .call()
                .expect("an answer")
                .is_none()
        );
    }
    waiter.hear();
    assert!(waiter.ask("release").starts_with("true"));
    assert!(
        client
            .try_acquire("job")
            .call()
            .expect("an answer")
            .is_some()
    );
}

#[test]
fn a_stopped_waiter_delays_the_next_by_its_claim_window_at_most() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client.acquire("job").call().expect("acquired");
    let mut waiters = [Other::start(&folder.url()), Other::start(&folder.url())];
    for (place, waiter) in waiters.iter_mut().enumerate() {
        waiter.tell("acquire job 20000");
        queued(&client, "job", place as u64 + 1);
    }
    waiters[0].signal("STOP");
    let start = Instant::now();
    assert!(lease.release().expect("released"));
    waiters[1].hear();
    assert!(start.elapsed() < ms(2_000 + 500), "{:?}", start.elapsed());
    // It missed its turn, and is served when the other has finished.
    waiters[0].signal("CONT");
    waiters[1].ask("release");
    waiters[0].hear();
}
