//! What has to be done now and then, so that a store does not grow: leases that nobody gave back are removed, and commits are
//! brought home from the log beside the file.
//!
//! Bringing commits home waits for the disk. So no commit does it on the way: the store's own thread does, on a connection
//! of its own, while others go on.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::database::Database;
use super::opening::{beside, sweep};
use super::transaction::Access;
use super::url::Location;
use crate::fork;

/// How many commits pass between two rounds of upkeep.
const EVERY: u32 = 1024;
/// A log of this size is brought home.
const LONG: u64 = 4 << 20;
/// The end of the log is brought home while nobody writes: it is tried for this long to be alone.
const TRY: Duration = Duration::from_millis(10);

/// Counts the commits of a store, to tell when its upkeep is due.
#[derive(Default)]
pub(super) struct Upkeep {
    commits: AtomicU32,
    under_way: AtomicBool,
}

impl Upkeep {
    /// Counts a commit; `true` when upkeep is due, which is said to one caller only.
    pub(super) fn count_commit(&self) -> bool {
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        commits.is_multiple_of(EVERY) && !self.under_way.swap(true, Ordering::AcqRel)
    }

    /// Removes what has ended and brings the log home, on the store's own thread.
    pub(super) fn run(&self, database: &Database) {
        // Where it is busy, there will be another time.
        let _ = database.try_waiting(Access::Write, &mut |work| {
            sweep(work.connection, &work.now, work.post)
        });
        if let Location::File(path) = database.location()
            && let Err(error) = bring_home(path)
        {
            let store = path.display();
            tracing::debug!(target: "leaselock", %error, %store, "the store's log stays long");
        }
        self.under_way.store(false, Ordering::Release);
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
