//! Opening a store: its file is made, recognised, and brought up to date.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::boot_clock::{self, Now};
use super::post::Post;
use super::sqlite_failure::{OpenError, from_io, not_a_store, refused};
use super::system::{Alone, Identity, identity, private};
use super::transaction::{Access, Transaction};
use super::url::Location;
use crate::error::Error;

/// `PRAGMA application_id` of a leaselock store: the letters L L c k.
const APPLICATION_ID: i32 = 0x4c4c_636b;
/// `PRAGMA user_version`: of the tables and of what processes tell each other.
const VERSION: i32 = 2;
/// A commit writes whole pages: small ones hold a few locks each.
const PAGE_SIZE: u32 = 1024;
const STATEMENTS: usize = 48;

/// An open database of a store.
pub(super) struct OpenDatabase {
    pub(super) connection: Connection,
    /// By which a file that was replaced is noticed.
    identity: Option<Identity>,
    shared_memory: Option<SharedMemory>,
}

/// The file in which processes keep each other out of the log. Who opens a store after it was removed has another one, and
/// knows nothing of those who were there before.
struct SharedMemory {
    path: PathBuf,
    identity: Option<Identity>,
}

impl SharedMemory {
    fn beside(path: &Path) -> Self {
        let path = beside(path, "-shm");
        let identity = identity(&path).ok();
        Self { path, identity }
    }

    fn is_current(&self) -> bool {
        identity(&self.path).ok() == self.identity
    }
}

impl OpenDatabase {
    /// Whether the file at `location` is still the one that was opened, and what is beside it, too.
    pub(super) fn is_current(&self, location: &Location) -> bool {
        match (location, self.identity) {
            (Location::File(path), Some(opened)) => {
                identity(path).is_ok_and(|there| there == opened)
                    && self
                        .shared_memory
                        .as_ref()
                        .is_none_or(SharedMemory::is_current)
            }
            _ => true,
        }
    }
}

/// Opens the store, which may be new.
pub(super) fn open(location: &Location, post: &Post) -> Result<OpenDatabase, OpenError> {
    let mut open = match location {
        Location::Memory(_) => OpenDatabase {
            connection: Connection::open_in_memory()?,
            identity: None,
            shared_memory: None,
        },
        Location::File(path) => open_file(location, path)?,
    };
    let OpenDatabase { connection, .. } = &open;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let looking = Transaction::begin(connection, Access::Read)?;
    let is_new = !is_store(connection, location)?;
    drop(looking);
    if is_new {
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    }
    if let Location::File(_) = location {
        use_log(connection, location)?;
    }
    let transaction = Transaction::begin(connection, Access::Write)?;
    if !is_store(connection, location)? {
        connection.execute_batch(include_str!("schema.sql"))?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    let now = Now::read();
    boot_clock::adopt(connection, location, &now)?;
    sweep(connection, &now, post)?;
    transaction.commit()?;
    if let Location::File(path) = location {
        open.shared_memory = Some(SharedMemory::beside(path));
    }
    Ok(open)
}

fn open_file(location: &Location, path: &Path) -> Result<OpenDatabase, OpenError> {
    let before = match identity(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        found => found.map_err(|error| cannot("the store's file cannot be used:", path, &error))?,
    };
    let kind = fs::metadata(path)
        .map_err(|error| cannot("the store's file cannot be used:", path, &error))?;
    if !kind.is_file() {
        let kind = if kind.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        return Err(OpenError::Refused(refused(not_a_store(
            location,
            &format!("it is {kind}"),
        ))));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Waiting is for the caller to do, where it may.
    connection.busy_timeout(Duration::ZERO)?;
    if connection.is_readonly("main")? {
        return Err(OpenError::Refused(refused(format!(
            "the store {} cannot be written: this user may only read the file; change its mode, or name another",
            location.address()
        ))));
    }
    let after =
        identity(path).map_err(|error| cannot("the store's file was removed:", path, &error))?;
    if before != after {
        return Err(busy());
    }
    Ok(OpenDatabase {
        connection,
        identity: Some(after),
        shared_memory: None,
    })
}

/// Makes the file, readable for its owner alone. What an earlier file of this name left beside it must not be taken for the
/// new one's: that is removed, and nobody else makes the file meanwhile.
fn create(path: &Path) -> Result<Identity, OpenError> {
    let _alone = match Alone::beside(path) {
        Ok(alone) => alone,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(busy()),
        Err(error) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            let what = "the directory of the store cannot be used:";
            return Err(cannot(what, directory, &error));
        }
    };
    let identity = match identity(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for leftover in ["-wal", "-shm"] {
                let _ = fs::remove_file(beside(path, leftover));
            }
            private(OpenOptions::new().write(true).create_new(true))
                .open(path)
                .and_then(|_| identity(path))
        }
        found => found,
    };
    identity.map_err(|error| cannot("the store's file cannot be made:", path, &error))
}

/// The path with `ending` behind it.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> OpenError {
    OpenError::Refused(from_io(what, path, error))
}

/// Somebody else is making or replacing the file: to be tried again.
fn busy() -> OpenError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    OpenError::Sqlite(rusqlite::Error::SqliteFailure(code, None))
}

/// Whether the database is a store already; `false`: an empty one, to be made a store. To be asked within a transaction,
/// since another process may be making it one.
fn is_store(connection: &Connection, location: &Location) -> Result<bool, OpenError> {
    let number =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let refused = |words: &str| Err(OpenError::Refused(refused(not_a_store(location, words))));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, VERSION) => Ok(true),
        (APPLICATION_ID, version) => Err(OpenError::Refused(newer(location, version))),
        (0, 0) => {
            let tables = "SELECT count(*) FROM sqlite_schema";
            match connection.query_row(tables, [], |row| row.get(0))? {
                0 => Ok(false),
                _ => refused("it is another application's SQLite database"),
            }
        }
        _ => refused("it is another application's SQLite database"),
    }
}

fn newer(location: &Location, version: i32) -> Error {
    refused(format!(
        "the store {} was made by another version of leaselock (its version is {version}, this one's {VERSION}); \
         use the same version everywhere, or name another file",
        location.address()
    ))
}

/// Has commits go to a log beside the file, so that readers do not wait; the store's own thread brings them home.
fn use_log(connection: &Connection, location: &Location) -> Result<(), OpenError> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
    let mode: String = mode?;
    if mode != "wal" {
        return Err(OpenError::Refused(refused(format!(
            "the file system of {} lacks what a store of several processes needs (shared memory beside the file, \
             SQLite's WAL mode); put it on a local disk",
            location.address()
        ))));
    }
    // Safe against a crash of every process; a power cut may lose the last commits, and damages nothing.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(())
}

/// Removes what has ended: leases, and the waiters of processes that are gone.
pub(super) fn sweep(connection: &Connection, now: &Now, post: &Post) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM entries WHERE name <> '' AND expires <= ?1",
        [now.boot_ms],
    )?;
    connection.execute("DELETE FROM holders WHERE expires <= ?1", [now.boot_ms])?;
    let inboxes: Vec<String> = connection
        .prepare("SELECT DISTINCT inbox FROM waiters")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for inbox in inboxes {
        if post.reach(&inbox).is_none() {
            connection.execute("DELETE FROM waiters WHERE inbox = ?1", [inbox])?;
        }
    }
    post.sweep();
    Ok(())
}
