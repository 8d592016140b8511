//! The locks of a store, as one transaction sees and changes them.

use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Result, Row, ToSql, params};

use super::boot_clock::Now;
use super::post::{News, Post};
use crate::name::{LockId, Name};
use crate::store::{Asked, Event, Releaser};

/// One transaction at work.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Now,
    pub(super) post: &'a Post,
    /// What is to be told when the transaction is committed.
    pub(super) news: Vec<News>,
}

/// Who holds a name.
pub(super) struct Holder {
    pub(super) owner: String,
    pub(super) expires: i64,
}

impl Holder {
    /// A row of owner and end.
    pub(super) fn of_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            owner: row.get(0)?,
            expires: row.get(1)?,
        })
    }
}

impl Work<'_> {
    /// Who holds the name; a lease that has ended is none.
    pub(super) fn holder(&self, lock: &LockId) -> Result<Option<Holder>> {
        let mut select = self.connection.prepare_cached(
            "SELECT owner, expires FROM entries WHERE app = ?1 AND name = ?2 AND expires > ?3",
        )?;
        let parameters = params![lock.app_id(), lock.name(), self.now.boot_ms];
        select.query_row(parameters, Holder::of_row).optional()
    }

    /// The common case of taking, in one statement: nobody holds the name, nobody waits. `false` when it was not so, and
    /// nothing was done.
    pub(super) fn take(&self, lock: &LockId, owner: &str, ttl: Duration) -> Result<bool> {
        let mut take = self.connection.prepare_cached(
            "INSERT INTO entries (app, name, owner, ttl, expires, ends)
             SELECT ?1, ?2, ?3, ?4, ?5 + ?4, ?6 + ?4
             WHERE NOT EXISTS (SELECT 1 FROM waiters WHERE app = ?1 AND name = ?2)
             ON CONFLICT DO UPDATE
             SET owner = excluded.owner, ttl = excluded.ttl, expires = excluded.expires, ends = excluded.ends
             WHERE expires <= ?5",
        )?;
        let now = &self.now;
        let set = take.execute(params![
            lock.app_id(),
            lock.name(),
            owner,
            millis(ttl),
            now.boot_ms,
            now.unix_ms()
        ])?;
        Ok(set == 1)
    }

    /// The common case of giving back, in one statement: the owner holds the name, nobody waits. `false` when it
    /// was not so, and nothing was done.
    pub(super) fn give_back(&self, lock: &LockId, owner: &str) -> Result<bool> {
        let mut give_back = self.connection.prepare_cached(
            "DELETE FROM entries WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?4
             AND NOT EXISTS (SELECT 1 FROM waiters WHERE app = ?1 AND name = ?2)",
        )?;
        let freed =
            give_back.execute(params![lock.app_id(), lock.name(), owner, self.now.boot_ms])?;
        Ok(freed == 1)
    }

    /// How long a holder has left.
    pub(super) fn left(&self, holder: &Holder) -> Duration {
        Duration::from_millis(
            holder
                .expires
                .saturating_sub(self.now.boot_ms)
                .unsigned_abs(),
        )
    }

    /// Counts the next token for a name that was just made an owner's.
    pub(super) fn acquired(&self, lock: &LockId) -> Result<Asked> {
        // Never behind the clock: so it grows also when the file was lost.
        let mut count = self.connection.prepare_cached(
            "INSERT INTO entries (app, name, owner, ttl, expires, ends) VALUES (?1, '', '', 0, ?2 + 1, 0)
             ON CONFLICT DO UPDATE SET expires = max(expires, ?2) + 1 RETURNING expires",
        )?;
        let token: i64 =
            count.query_row(params![lock.app_id(), self.now.unix_us], |row| row.get(0))?;
        Ok(Asked::acquired(token.unsigned_abs(), self.now.moment))
    }

    /// Makes the name the owner's, without a token.
    pub(super) fn set(&self, lock: &LockId, owner: &str, ttl: Duration) -> Result<()> {
        let mut set = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO entries (app, name, owner, ttl, expires, ends)
             VALUES (?1, ?2, ?3, ?4, ?5 + ?4, ?6 + ?4)",
        )?;
        let now = &self.now;
        set.execute(params![
            lock.app_id(),
            lock.name(),
            owner,
            millis(ttl),
            now.boot_ms,
            now.unix_ms()
        ])?;
        Ok(())
    }

    /// Makes the name nobody's.
    pub(super) fn free(&self, lock: &LockId) -> Result<()> {
        let mut free = self
            .connection
            .prepare_cached("DELETE FROM entries WHERE app = ?1 AND name = ?2")?;
        free.execute(params![lock.app_id(), lock.name()])?;
        Ok(())
    }
}

impl Work<'_> {
    /// A lease was ended: where not by its holder, the holder is told. The store does not know which client that is, so all
    /// are.
    pub(super) fn tell_of_end(&mut self, releaser: &Releaser) {
        let Releaser::ByHand(lock, _) = releaser else {
            return;
        };
        self.news
            .extend(self.post.everybody_anywhere().into_iter().map(|by| News {
                by,
                event: Event::Touched { lock: lock.clone() },
            }));
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl ToSql for Name {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&**self))
    }
}
