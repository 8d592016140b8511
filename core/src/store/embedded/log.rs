//! Bringing commits home: from the log beside the file into the file, so that the log does not grow for ever.
//!
//! It waits for the disk, so no commit does it on the way: the store's own thread does, on a connection of its own, while
//! others go on.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fork;
use super::opening::beside;
use super::worker::Job;

/// How many commits pass between two looks at the log.
const LOOK_AFTER: u32 = 512;
/// A log of this size is brought home.
const LONG: u64 = 4 << 20;
/// The end of the log is brought home while nobody writes: it is tried for this long to be alone.
const TRY: Duration = Duration::from_millis(10);

/// Looks after the log of one file.
#[derive(Default)]
pub(super) struct Log {
    commits: AtomicU32,
    busy: Arc<AtomicBool>,
}

impl Log {
    /// Counts a commit; now and then there is a job for the store's own thread.
    pub(super) fn after_commit(&self, path: &Path) -> Option<Job> {
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if !commits.is_multiple_of(LOOK_AFTER) || self.busy.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (path, busy) = (path.to_owned(), self.busy.clone());
        Some(Box::new(move || {
            if let Err(error) = bring_home(&path) {
                let store = path.display();
                tracing::debug!(target: "leaselock", %error, %store, "the store's log stays long");
            }
            busy.store(false, Ordering::Release);
        }))
    }
}

fn bring_home(path: &Path) -> rusqlite::Result<()> {
    if fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len()) < LONG {
        return Ok(());
    }
    let _inside = fork::enter();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(TRY)?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // Most of it beside other work; then what was written meanwhile, which is little, so that the log can begin anew.
    for how in ["PASSIVE", "TRUNCATE"] {
        connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))?;
    }
    Ok(())
}
