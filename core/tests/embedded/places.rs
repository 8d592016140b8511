//! Places for stores: fresh directories and names, and a look into a store with plain SQL.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leaselock::{Client, blocking};
use rusqlite::Connection;
use rusqlite::types::FromSql;

/// A fresh directory, removed with everything in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("leaselock-{}", fresh()));
        std::fs::create_dir(&path).expect("a directory");
        Self(path.canonicalize().expect("a path"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("locks.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("file:{}", self.file().display())
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url()).expect("a client")
    }

    pub(crate) fn blocking(&self) -> blocking::Client {
        blocking::Client::new(&self.url()).expect("a client")
    }

    /// A connection past leaselock.
    pub(crate) fn plain(&self) -> Connection {
        let connection = Connection::open(self.file()).expect("a database");
        connection
            .busy_timeout(Duration::from_secs(10))
            .expect("set");
        connection
    }

    /// Makes the store, and closes it.
    pub(crate) fn make_store(&self) {
        let client = self.blocking();
        take_and_give_back(&client, "job");
        client.close().expect("closed");
    }

    /// The one value that `query` finds, past leaselock.
    pub(crate) fn value<T: FromSql>(&self, query: &str) -> T {
        let found = self.plain().query_row(query, [], |row| row.get(0));
        found.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// The names of all that is in it, sorted.
    pub(crate) fn content(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A fresh text of twelve hex digits.
pub(crate) fn fresh() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    format!("{:012x}", RandomState::new().build_hasher().finish() >> 16)
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Asks `done` every 2 ms; panics with `what` when it has not said yes within 20 s.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never so: {what}"
        );
        std::thread::sleep(ms(2));
    }
}

/// Takes a free name and gives it back.
pub(crate) fn take_and_give_back(client: &blocking::Client, name: &str) {
    let lease = client.acquire(name).call().expect("acquired");
    assert!(lease.release().expect("released"));
}

/// Gives the name back to the one waiter, `next`, which gives it back in turn.
pub(crate) fn hand_over(lease: &blocking::Lease, next: &blocking::Client) {
    std::thread::scope(|threads| {
        let waiter = threads.spawn(|| next.acquire(lease.name()).call());
        queued(next, lease.name(), 1);
        assert!(lease.release().expect("released"));
        let served = waiter.join().expect("no panic").expect("served");
        assert!(served.release().expect("released"));
    });
}

/// Waits until so many wait for `name`.
pub(crate) fn queued(client: &blocking::Client, name: &str, count: u64) {
    until(&format!("{count} wait for {name}"), || {
        let found = client.inspect(name).expect("a look");
        found.is_some_and(|found| found.waiters == count)
    });
}
