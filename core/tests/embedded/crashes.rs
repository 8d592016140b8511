//! Many processes on one store, and some of them killed: nothing is lost, and the store opens afterwards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::children::{Other, number_in};
use crate::places::{Folder, ms, until};

const PROCESSES: usize = 4;

fn counter(folder: &Folder) -> PathBuf {
    let path = folder.path().join("number");
    std::fs::write(&path, 0_u64.to_ne_bytes()).expect("written");
    path
}

fn is_whole(folder: &Folder) {
    let words: String = folder.value("PRAGMA integrity_check");
    assert_eq!(words, "ok");
}

#[test]
fn four_processes_lose_no_increment() {
    let folder = Folder::new();
    let number = counter(&folder);
    let mut others: Vec<Other> = (0..PROCESSES)
        .map(|_| Other::start(&folder.url()))
        .collect();
    for other in &mut others {
        other.tell(&format!("count {} 250 number", number.display()));
    }
    for other in &others {
        while other.hear() != "done" {}
    }
    assert_eq!(number_in(&number), 1_000);
    for other in others {
        other.end();
    }
    is_whole(&folder);
    assert_eq!(
        folder.content(),
        ["locks.db", "number"],
        "nothing is left over"
    );
}

#[test]
fn killed_processes_lose_no_increment_that_they_told_of() {
    let folder = Folder::new();
    let number = counter(&folder);
    let start = || {
        let mut other = Other::start(&folder.url());
        other.tell(&format!("count {} 1000000 number", number.display()));
        other
    };
    let mut others: Vec<Other> = (0..PROCESSES).map(|_| start()).collect();
    let (mut told, mut kills) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(ms(40 + 37 * kills % 160));
        let victim = usize::try_from(kills).expect("few") % PROCESSES;
        let mut killed = std::mem::replace(&mut others[victim], start());
        killed.kill();
        kills += 1;
        told += told_by(&killed);
    }
    for mut other in others {
        other.kill();
        kills += 1;
        told += told_by(&other);
    }
    let number = number_in(&number);
    eprintln!("{kills} kills, {told} increments told of, {number} in the file");
    assert!(
        told <= number && number <= told + kills,
        "{told} told, {number} there, {kills} kills"
    );
    assert!(told > 200, "only {told} increments in all");

    is_whole(&folder);
    let client = folder.blocking();
    let lease = client
        .acquire("number")
        .wait(ms(5_000))
        .call()
        .expect("it goes on");
    assert!(lease.release().expect("released"));
    client.close().expect("closed");
}

/// What a killed process told before it died: all of it has been read when its output ends.
fn told_by(killed: &Other) -> u64 {
    let mut told = 0;
    while let Some(answer) = killed.hear_to_the_end() {
        told += u64::from(answer == "one more");
    }
    told
}

#[test]
fn the_next_has_it_within_half_a_second_of_a_killed_holders_ttl() {
    let folder = Folder::new();
    let client = folder.blocking();
    let mut worst = Duration::ZERO;
    for _ in 0..5 {
        let mut holder = Other::start(&folder.url());
        holder.ask("acquire job 600");
        let mut waiter = Other::start(&folder.url());
        waiter.tell("acquire job 5000");
        crate::places::queued(&client, "job", 1);
        holder.kill();
        let killed = Instant::now();
        waiter.hear();
        worst = worst.max(killed.elapsed());
        assert!(waiter.ask("release").starts_with("true"));
        waiter.end();
    }
    assert!(worst <= ms(600 + 500), "{worst:?}");
}

#[test]
fn a_killed_waiter_costs_the_others_nothing() {
    let folder = Folder::new();
    let client = folder.blocking();
    let lease = client.acquire("job").call().expect("acquired");
    let mut waiters: Vec<Other> = Vec::new();
    for place in 1..=5 {
        let mut waiter = Other::start(&folder.url());
        waiter.tell("acquire job 5000");
        crate::places::queued(&client, "job", place);
        waiters.push(waiter);
    }
    let mut last = waiters.pop().expect("five");
    for waiter in &mut waiters {
        waiter.kill();
    }
    let start = Instant::now();
    assert!(lease.release().expect("released"));
    last.hear();
    assert!(start.elapsed() < ms(500), "{:?}", start.elapsed());
    assert_eq!(
        client
            .inspect("job")
            .expect("a look")
            .expect("held")
            .waiters,
        0
    );
    last.ask("release");
    last.end();
    client.close().expect("closed");
    drop(client);
    until("what the killed left is gone", || {
        folder.content() == ["locks.db"]
    });
}

#[test]
fn what_killed_processes_left_is_swept_when_the_store_is_opened() {
    let folder = Folder::new();
    let mut holder = Other::start(&folder.url());
    holder.ask("acquire job 500");
    let mut waiter = Other::start(&folder.url());
    waiter.tell("acquire job 5000");
    crate::places::queued(&folder.blocking(), "job", 1);
    holder.kill();
    waiter.kill();
    std::thread::sleep(ms(600));

    let client = folder.blocking();
    assert!(client.inspect("job").expect("a look").is_none());
    let waiting: i64 =
        folder.value("SELECT (SELECT count(*) FROM waiters) + (SELECT count(*) FROM locks)");
    assert_eq!(waiting, 0);
}
