//! Files that cannot be a store: each is refused with its name, what is wrong and what to do.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use leaselock::{ErrorKind, blocking};

use crate::children::Other;
use crate::places::{Folder, take_and_give_back};

/// The refusal of an acquire at `url`.
fn refused(url: &str) -> String {
    let client = blocking::Client::new(url).expect("a client");
    let error = client.try_acquire("job").call().expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
    let again = client.acquire("job").call().expect_err("refused again");
    assert_eq!(again.to_string(), error.to_string());
    client.close().expect("closed");
    error.to_string()
}

fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn a_file_that_is_no_database() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "Dear diary, ".repeat(500)).expect("written");
    says(
        &refused(&folder.url()),
        &["locks.db", "is not a leaselock store", "name another file"],
    );
    assert_eq!(folder.content(), ["locks.db"]);
    assert!(
        std::fs::read_to_string(folder.file())
            .expect("text")
            .starts_with("Dear diary")
    );
}

#[test]
fn a_database_of_another_application() {
    let folder = Folder::new();
    folder
        .plain()
        .execute_batch("CREATE TABLE people (name TEXT)")
        .expect("made");
    let message = refused(&folder.url());
    says(
        &message,
        &[
            "locks.db",
            "another application's SQLite database",
            "name another file",
        ],
    );
    let mode: String = folder.value("PRAGMA journal_mode");
    assert_eq!(mode, "delete", "nothing was changed");
    let tables: i64 = folder.value("SELECT count(*) FROM sqlite_schema");
    assert_eq!(tables, 1);
}

#[test]
fn a_database_that_only_has_a_name_of_its_own() {
    let folder = Folder::new();
    folder
        .plain()
        .execute_batch("PRAGMA application_id = 42")
        .expect("made");
    says(
        &refused(&folder.url()),
        &["another application's SQLite database"],
    );
}

#[test]
fn a_store_of_a_newer_version() {
    let folder = Folder::new();
    folder.make_store();
    folder
        .plain()
        .execute_batch("PRAGMA user_version = 3")
        .expect("changed");
    says(
        &refused(&folder.url()),
        &["locks.db", "another version of leaselock", "3", "2"],
    );
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "").expect("written");
    let client = folder.blocking();
    take_and_give_back(&client, "job");
}

#[test]
fn a_damaged_store() {
    let folder = Folder::new();
    let client = folder.blocking();
    for at in 0..200 {
        client
            .acquire(format!("job-{at}"))
            .call()
            .expect("acquired")
            .detach();
    }
    client.close().expect("closed");
    drop(client);
    let mut bytes = std::fs::read(folder.file()).expect("a file");
    for (at, byte) in bytes.iter_mut().enumerate().skip(1024) {
        *byte = u8::try_from(at * 7 % 251).expect("a byte");
    }
    std::fs::write(folder.file(), bytes).expect("written");
    says(
        &refused(&folder.url()),
        &[
            "locks.db",
            "damaged",
            "move the file away",
            "tokens go on from the clock",
        ],
    );
}

#[test]
fn a_directory_or_a_pipe() {
    let folder = Folder::new();
    let directory = folder.path().display();
    says(
        &refused(&format!("file:{directory}")),
        &["is a directory", "name another file"],
    );
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    says(
        &refused(&format!("file:{}", pipe.display())),
        &["no regular file"],
    );
}

#[test]
fn a_directory_that_does_not_exist() {
    let folder = Folder::new();
    let url = format!("file:{}/missing/locks.db", folder.path().display());
    says(&refused(&url), &["missing", "create its directory first"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    says(
        &refused(&format!("file:{}/locks.db", file.display())),
        &["file", "Not a directory"],
    );
    let url = format!(
        "file:{}/{}/locks.db",
        folder.path().display(),
        "long".repeat(100)
    );
    says(&refused(&url), &["File name too long"]);
}

/// Another process, as a user who is not root: permissions are not for root.
fn as_nobody(folder: &Folder, order: &str) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    // The test program may lie where others may not look.
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().expect("a path"), &program).expect("copied");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("set");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program);
    let mut other = Other::start_by(command, &folder.url());
    Some(other.ask(order))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

#[test]
fn what_this_user_may_not_write() {
    let folder = Folder::new();
    folder.make_store();
    // The file may not be read, may only be read, may be written in a directory that may not.
    for (file, directory, words) in [
        (
            0o600,
            0o777,
            ["cannot be opened", "this user may read and write"],
        ),
        (0o644, 0o777, ["may only read the file", "change its mode"]),
        (0o666, 0o755, ["cannot be", "directory"]),
    ] {
        set_mode(&folder.file(), file);
        set_mode(folder.path(), directory);
        let Some(said) = as_nobody(&folder, "acquire job 5000") else {
            eprintln!("not tested: only root can become another user");
            return;
        };
        assert!(
            said.starts_with("STORE_REFUSED"),
            "{file:o} {directory:o}: {said}"
        );
        says(&said, &["locks.db"]);
        says(&said, &words);
    }
    // A new store there.
    std::fs::remove_file(folder.file()).expect("removed");
    let said = as_nobody(&folder, "acquire job 5000").expect("as root");
    assert!(said.starts_with("STORE_REFUSED"), "{said}");
    says(&said, &["Permission denied", "choose another place"]);
}
