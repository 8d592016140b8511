//! Time namespaces: processes whose boot clocks differ would not agree when a lease ends, and so share no store.

use std::process::Command;

use crate::children::Other;
use crate::places::{Folder, take_and_give_back};

/// A command that runs another one in a time namespace of its own; `None` where that is not permitted.
fn apart(seconds: &str) -> Option<Command> {
    let words = ["--time", "--boottime", seconds];
    for namespace in [vec![], vec!["--user", "--map-root-user"]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(&namespace).args(words);
            command
        };
        let tried = unshare().arg("true").output();
        if tried.is_ok_and(|tried| tried.status.success()) {
            let mut command = unshare();
            command.arg(std::env::current_exe().expect("a path"));
            return Some(command);
        }
    }
    eprintln!("no time namespaces may be made here: not tested");
    None
}

fn open_and_use(folder: &Folder) {
    let client = folder.blocking();
    take_and_give_back(&client, "job");
    client.close().expect("closed");
}

#[test]
fn field_bug_68_another_time_namespace_is_refused() {
    for seconds in ["100000", "1"] {
        let folder = Folder::new();
        let Some(command) = apart(seconds) else {
            return;
        };
        let mut here = Other::start(&folder.url());
        let taken = here.ask("acquire job 60000");
        assert!(!taken.contains("STORE"), "{taken}");
        let mut there = Other::start_by(command, &folder.url());
        let refusal = there.ask("acquire job 60000");
        assert!(refusal.starts_with("STORE_REFUSED"), "{refusal}");
        assert!(refusal.contains("time namespace"), "{refusal}");
        assert!(refusal.contains("locks.db"), "{refusal}");
        assert!(refusal.contains("redis://"), "{refusal}");
        assert!(here.ask("release").starts_with("true"));
        here.end();
        there.end();
    }
}

#[test]
fn field_bug_68_whoever_comes_first_says_which_namespace_it_is() {
    let folder = Folder::new();
    let (Some(first), Some(second), Some(other)) =
        (apart("100000"), apart("100000"), apart("5000"))
    else {
        return;
    };
    let mut first = Other::start_by(first, &folder.url());
    assert!(!first.ask("acquire job 60000").contains("STORE"));
    // Another namespace with the same clock will do.
    let mut second = Other::start_by(second, &folder.url());
    assert_eq!(second.ask("inspect job"), "held");
    let mut other = Other::start_by(other, &folder.url());
    assert!(other.ask("inspect job").contains("time namespace"));
    let mut here = Other::start(&folder.url());
    assert!(here.ask("inspect job").contains("time namespace"));
    assert!(first.ask("release").starts_with("true"));
    for process in [first, second, other, here] {
        process.end();
    }
}

#[test]
fn field_bug_68_a_reboot_makes_the_namespace_of_before_forgotten() {
    let folder = Folder::new();
    open_and_use(&folder);
    folder
        .plain()
        .execute_batch(
            "UPDATE meta SET value = 'another boot' WHERE key = 'boot';
             UPDATE meta SET value = '5000000000' WHERE key = 'offset'",
        )
        .expect("another boot");
    open_and_use(&folder);
}

#[test]
fn field_bug_68_a_store_that_does_not_say_is_taken_for_ones_own() {
    let folder = Folder::new();
    open_and_use(&folder);
    folder
        .plain()
        .execute_batch("DELETE FROM meta WHERE key = 'offset'")
        .expect("an older store");
    open_and_use(&folder);
    let Some(command) = apart("100000") else {
        return;
    };
    let mut there = Other::start_by(command, &folder.url());
    assert!(there.ask("inspect job").contains("time namespace"));
    there.end();
}
