//! Fencing tokens grow: over closing, removal, a clock set back; and leases keep their time over a reboot.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use leaselock::LeaseState;

use crate::children::Other;
use crate::places::{Folder, ms};

fn token(answer: &str) -> u64 {
    answer
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn tokens_grow_over_closing_and_removing_the_file() {
    let folder = Folder::new();
    let mut tokens = Vec::new();
    for round in 0..30 {
        let client = folder.blocking();
        for name in ["a", "b", "a"] {
            let lease = client.acquire(name).call().expect("acquired");
            tokens.push(lease.token());
            assert!(lease.release().expect("released"));
        }
        client.close().expect("closed");
        if round % 3 == 0 {
            std::fs::remove_file(folder.file()).expect("removed");
        }
    }
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    assert!(
        tokens[0] > 1_000_000_000_000_000 && tokens[0] < 1 << 53,
        "{}",
        tokens[0]
    );
}

/// A library that moves the wall clock of the process that preloads it.
fn clock_shift(folder: &Folder) -> PathBuf {
    let library = folder.path().join("clock_shift.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/clock_shift.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(compiled.expect("cc runs").success());
    library
}

#[test]
fn a_wall_clock_set_back_moves_neither_tokens_nor_leases() {
    let folder = Folder::new();
    let library = clock_shift(&folder);
    let shift = folder.path().join("shift");
    std::fs::write(&shift, 0_i64.to_ne_bytes()).expect("written");
    let mut moved = Other::start_with(
        &folder.url(),
        &[("LD_PRELOAD", &library), ("CLOCK_SHIFT", &shift)],
    );
    let before = token(&moved.ask("acquire before 5000"));
    let hour = 3_600_000_i64;
    for offset in [-hour, hour, -24 * hour] {
        std::fs::write(&shift, offset.to_ne_bytes()).expect("written");
        let name = format!("job{offset}");
        let answer = moved.ask(&format!("acquire {name} 5000"));
        let told = answer
            .split(' ')
            .nth(1)
            .and_then(|at| at.parse::<i128>().ok())
            .expect("a time");
        let real = i128::try_from(crate::children::now()).expect("a time");
        let off = (told - real) / 1_000_000 - i128::from(offset);
        assert!(off.abs() < 60_000, "its clock was moved: {off} ms off");
        assert!(token(&answer) > before);
        // Here, where the clock is right, it has as long as there.
        let client = folder.blocking();
        let left = client
            .inspect(&name)
            .expect("a look")
            .expect("held")
            .expires_in
            .expect("an end");
        assert!(left > ms(3_500) && left <= ms(5_000), "{left:?}");
        let mine = client.acquire("mine").call().expect("acquired");
        assert!(
            mine.token() > token(&answer),
            "{} after {answer}",
            mine.token()
        );
        let after = token(&moved.ask(&format!("acquire {name}-after 5000")));
        assert!(after > mine.token(), "{after} after {}", mine.token());
        assert!(mine.release().expect("released"));
    }
}

/// What a reboot leaves: a store of another boot, whose clock has begun anew.
fn reboot(folder: &Folder, wall_clock_passed: Duration) {
    let passed = i64::try_from(wall_clock_passed.as_millis()).expect("short");
    let plain = folder.plain();
    plain
        .execute(
            "UPDATE entries SET expires = expires + 9000000000, ends = ends - ?1 WHERE name <> ''",
            [passed],
        )
        .expect("another boot clock");
    plain
        .execute(
            "UPDATE meta SET value = 'another boot' WHERE key = 'boot'",
            [],
        )
        .expect("another boot");
    plain
        .execute("INSERT INTO waiters (app, name, place, owner, inbox) VALUES ('', 'long', 1, 'gone', 'abc')", [])
        .expect("a waiter");
}

#[test]
fn a_reboot_leaves_every_lease_what_the_wall_clock_says_and_never_more_than_its_ttl() {
    let folder = Folder::new();
    let client = folder.blocking();
    for (name, ttl) in [("short", ms(2_000)), ("long", ms(60_000))] {
        client
            .acquire(name)
            .ttl(ttl)
            .renew(false)
            .call()
            .expect("acquired")
            .detach();
    }
    let before = client.acquire("other").call().expect("acquired");
    assert!(before.release().expect("released"));
    client.close().expect("closed");
    drop(client);

    reboot(&folder, ms(10_000));
    let client = folder.blocking();
    assert!(
        client.inspect("short").expect("a look").is_none(),
        "its time passed meanwhile"
    );
    let found = client.inspect("long").expect("a look").expect("held");
    let left = found.expires_in.expect("an end");
    assert!(left > ms(40_000) && left <= ms(50_000), "{left:?}");
    assert_eq!(found.waiters, 0, "nobody waits across a reboot");
    let lease = client.acquire("short").call().expect("acquired");
    assert!(lease.token() > before.token());
    assert_eq!(lease.state(), LeaseState::Held);
    assert!(lease.release().expect("released"));
    client.close().expect("closed");
    drop(client);

    // The wall clock was set back meanwhile, by more than the lease lasts.
    reboot(&folder, Duration::ZERO);
    folder
        .plain()
        .execute("UPDATE entries SET ends = ends + 100000000", [])
        .expect("set back");
    let client = folder.blocking();
    let left = client
        .inspect("long")
        .expect("a look")
        .expect("held")
        .expires_in
        .expect("an end");
    assert!(left <= ms(60_000), "{left:?}");
}
