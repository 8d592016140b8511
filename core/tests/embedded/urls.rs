//! What `file:` and `memory:` URLs mean, and which are refused.

use std::os::unix::ffi::OsStrExt as _;

use leaselock::{Client, ErrorKind, blocking};

use crate::places::Folder;

fn holds(url: &str, name: &str) -> bool {
    let client = blocking::Client::new(url).expect("a client");
    client.inspect(name).expect("a look").is_some()
}

#[test]
fn one_file_has_many_urls() {
    let folder = Folder::new();
    let directory = folder.path().display();
    let client =
        blocking::Client::new(&format!("file:{directory}/my locks%20.db")).expect("a client");
    let lease = client.acquire("job").call().expect("acquired");
    assert!(
        folder.path().join("my locks%20.db").exists(),
        "taken as it is: {:?}",
        folder.content()
    );
    for url in [
        format!(
            "file:{directory}/../{}/my locks%20.db",
            folder.path().file_name().unwrap().display()
        ),
        format!("file:///{}/my%20locks%2520.db", &directory.to_string()[1..]),
        format!("file://localhost{directory}/my%20locks%2520.db"),
        format!("file://LOCALHOST{directory}/my%20%6cocks%2520.db"),
    ] {
        assert!(holds(&url, "job"), "{url}");
    }
    assert!(lease.release().expect("released"));
}

#[test]
fn a_link_to_a_file_or_directory_leads_to_the_same_store() {
    let folder = Folder::new();
    let client = folder.blocking();
    let _lease = client.acquire("job").call().expect("acquired");
    let (directory, file) = (
        folder.path().join("directory"),
        folder.path().join("file.db"),
    );
    std::os::unix::fs::symlink(folder.path(), &directory).expect("a link");
    std::os::unix::fs::symlink(folder.file(), &file).expect("a link");
    assert!(holds(
        &format!("file:{}/locks.db", directory.display()),
        "job"
    ));
    assert!(holds(&format!("file:{}", file.display()), "job"));
}

#[test]
fn a_path_need_not_be_utf_8_in_its_url() {
    let folder = Folder::new();
    let directory = folder.path().display();
    let client = blocking::Client::new(&format!("file://{directory}/%ff%FE.db")).expect("a client");
    let lease = client.acquire("job").call().expect("acquired");
    let path = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"\xff\xfe.db"));
    assert!(path.exists());
    assert!(lease.release().expect("released"));
}

#[test]
fn a_relative_path_is_one_from_where_the_client_was_made() {
    let url = format!("file:target-{}.db", crate::places::fresh());
    let client = Client::new(&url).expect("a client");
    let here = std::env::current_dir().expect("a directory");
    let shown = format!("{client:?}");
    assert!(
        shown.contains(&format!("file:{}/target-", here.display())),
        "{shown}"
    );
}

#[test]
fn what_names_no_store_is_refused_with_what_to_write() {
    for (url, advice) in [
        ("memory:", "memory:NAME"),
        ("file:", "file:path.db"),
        ("file:/", "file:path.db"),
        ("file:directory/", "file:path.db"),
        ("file:..", "file:path.db"),
        ("file://", "file:path.db"),
        ("file://host", "file:path.db"),
        ("file:///", "file:path.db"),
        ("file://server/share/locks.db", "file:///absolute/path.db"),
        ("file:///locks%2.db", "%25"),
        ("file:///locks%zz.db", "%25"),
        ("file:///locks%00.db", "NUL"),
        ("file:locks\0.db", "NUL"),
        ("sqlite:locks.db", "file:path.db"),
        ("locks.db", "file:path.db"),
    ] {
        let error = Client::new(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}: {error}");
        assert!(error.to_string().contains(advice), "{url}: {error}");
    }
}
