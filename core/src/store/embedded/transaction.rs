//! A transaction whose beginning and end are prepared but once.

use rusqlite::{Connection, Result};

/// What an operation needs of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A transaction that is rolled back when it is dropped before it is committed.
pub(super) struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    /// Begins; one that writes fails as busy where another process writes.
    pub(super) fn begin(connection: &'a Connection, access: Access) -> Result<Self> {
        run(
            connection,
            match access {
                Access::Read => "BEGIN",
                Access::Write => "BEGIN IMMEDIATE",
            },
        )?;
        Ok(Self(connection))
    }

    pub(super) fn commit(self) -> Result<()> {
        run(self.0, "COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Some errors have rolled it back already.
        if !self.0.is_autocommit() {
            let _ = run(self.0, "ROLLBACK");
        }
    }
}

fn run(connection: &Connection, statement: &str) -> Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}
