//! What can be done in a store, each in one transaction: ask, release, renew, inspect, list.
//!
//! The rules are those of the scripts in `store/redis/scripts/`, in one respect stricter: a take sees the queue, so nobody
//! slips in before those who wait.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::clock::Now;
use super::glob;
use super::post::{News, Post, Way};
use crate::client::LockInfo;
use crate::name::LockId;
use crate::store::{Ask, Asked, Event, Ownership, Queued, Releaser, Renewal};

/// A grant is claimed within this, or the name goes on to the next.
const CLAIM_WINDOW: Duration = Duration::from_secs(2);

/// One transaction at work.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Now,
    pub(super) post: &'a Post,
    /// What is to be told when it is committed.
    pub(super) news: Vec<News>,
}

struct Holder {
    owner: String,
    expires: i64,
}

struct Waiter {
    place: i64,
    owner: String,
    inbox: String,
}

enum Handed {
    /// It is the turn of the one who asks.
    Asking,
    /// The name is the first waiter's now.
    Granted,
    /// Nobody waits.
    Nobody,
}

/// Takes, claims or queues for a name, on behalf of `inbox`.
pub(super) fn ask(
    work: &mut Work<'_>,
    lock: &LockId,
    owner: &str,
    inbox: &str,
    ttl: Duration,
    ask: Ask,
) -> Result<Asked> {
    let holder = work.holder(lock)?;
    if let Some(holder) = &holder
        && holder.owner == owner
    {
        // A claim, or the repeat of a take. Who holds a name does not wait for it.
        return work.acquire(lock, owner, ttl);
    }
    let mut place = None;
    if let Ask::Queue { place: earlier } = ask {
        if holder.is_none() && work.first(lock)?.is_none() {
            return work.acquire(lock, owner, ttl);
        }
        place = Some(work.queue(lock, owner, inbox, earlier)?);
    }
    if holder.is_none() {
        match work.hand_over(lock, Some(owner))? {
            Handed::Asking | Handed::Nobody => {
                let asked = work.acquire(lock, owner, ttl)?;
                work.tell_first(lock)?;
                return Ok(asked);
            }
            Handed::Granted => {}
        }
    }
    let holder = work.holder(lock)?;
    let (mut head, mut waiters) = (false, 0);
    if place.is_some() {
        head = work.first(lock)?.is_some_and(|first| first.owner == owner);
        waiters = work.count(lock)?;
    }
    Ok(Asked::Held(Queued {
        expires_in: holder.map(|holder| work.left(&holder)),
        place: place.map_or(0, i64::unsigned_abs),
        head,
        waiters,
    }))
}

/// Gives a name back, leaves the queue, or both.
pub(super) fn release(
    work: &mut Work<'_>,
    lock: &LockId,
    releaser: &Releaser,
) -> Result<Ownership> {
    let holder = work.holder(lock)?;
    let mine = holder.as_ref().is_some_and(|holder| match releaser {
        Releaser::Own(owner) | Releaser::ByHand(owner) => holder.owner == **owner,
        Releaser::Forced => true,
    });
    let mut head_left = false;
    if let Releaser::Own(owner) = releaser
        && !mine
    {
        head_left = work.leave(lock, owner)?;
    }
    if mine || holder.is_none() {
        match work.hand_over(lock, None)? {
            Handed::Granted => {}
            Handed::Asking | Handed::Nobody => work.free(lock)?,
        }
    } else if head_left {
        work.tell_first(lock)?;
    }
    Ok(match holder {
        _ if mine => Ownership::Mine,
        Some(_) => Ownership::Other,
        None => Ownership::Nobody,
    })
}

/// Extends what its owner still holds; never makes it anew.
pub(super) fn renew(work: &mut Work<'_>, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
    let mut renew = work.connection.prepare_cached(
        "UPDATE locks SET ttl = ?4, expires = ?5 + ?4, ends = ?6 + ?4
         WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?5",
    )?;
    let now = work.now;
    renewals
        .iter()
        .map(|Renewal { lock, owner, ttl }| {
            let parameters = params![
                lock.app_id,
                lock.name,
                owner,
                millis(*ttl),
                now.boot_ms,
                now.unix_ms()
            ];
            if renew.execute(parameters)? == 1 {
                return Ok(Ownership::Mine);
            }
            Ok(match work.holder(lock)? {
                Some(_) => Ownership::Other,
                None => Ownership::Nobody,
            })
        })
        .collect()
}

/// Who holds a name. Reads only.
pub(super) fn inspect(work: &mut Work<'_>, lock: &LockId) -> Result<Option<LockInfo>> {
    let Some(holder) = work.holder(lock)? else {
        return Ok(None);
    };
    Ok(Some(LockInfo {
        name: lock.name.to_string(),
        expires_in: Some(work.left(&holder)),
        waiters: work.count(lock)?,
        owner: holder.owner,
    }))
}

/// The held locks of an application that match. Reads only.
pub(super) fn list(work: &mut Work<'_>, app_id: &Arc<str>, pattern: &str) -> Result<Vec<LockInfo>> {
    let mut select = work.connection.prepare_cached(
        "SELECT name, owner, expires,
                (SELECT count(*) FROM waiters WHERE waiters.app = locks.app AND waiters.name = locks.name)
         FROM locks WHERE app = ?1 AND expires > ?2",
    )?;
    let mut rows = select.query(params![app_id, work.now.boot_ms])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if glob::matches(pattern, &name) {
            let holder = Holder {
                owner: row.get(1)?,
                expires: row.get(2)?,
            };
            found.push(LockInfo {
                name,
                expires_in: Some(work.left(&holder)),
                waiters: row.get::<_, i64>(3)?.unsigned_abs(),
                owner: holder.owner,
            });
        }
    }
    Ok(found)
}

/// Whether anything is held or waited for.
pub(super) fn is_in_use(work: &mut Work<'_>) -> Result<bool> {
    let used =
        "SELECT EXISTS (SELECT 1 FROM locks WHERE expires > ?1) OR EXISTS (SELECT 1 FROM waiters)";
    let mut select = work.connection.prepare_cached(used)?;
    select.query_row([work.now.boot_ms], |row| row.get(0))
}

impl Work<'_> {
    /// Who holds the name; a lease that has ended is none.
    fn holder(&self, lock: &LockId) -> Result<Option<Holder>> {
        let mut select = self.connection.prepare_cached(
            "SELECT owner, expires FROM locks WHERE app = ?1 AND name = ?2 AND expires > ?3",
        )?;
        let parameters = params![lock.app_id, lock.name, self.now.boot_ms];
        select
            .query_row(parameters, |row| {
                Ok(Holder {
                    owner: row.get(0)?,
                    expires: row.get(1)?,
                })
            })
            .optional()
    }

    fn left(&self, holder: &Holder) -> Duration {
        Duration::from_millis(
            holder
                .expires
                .saturating_sub(self.now.boot_ms)
                .unsigned_abs(),
        )
    }

    /// Makes the name the owner's, under the next token.
    fn acquire(&mut self, lock: &LockId, owner: &str, ttl: Duration) -> Result<Asked> {
        // Never behind the clock: so it grows also when the file was lost.
        let mut count = self.connection.prepare_cached(
            "INSERT INTO fences (app, count) VALUES (?1, ?2 + 1)
             ON CONFLICT DO UPDATE SET count = max(count, ?2) + 1 RETURNING count",
        )?;
        let token: i64 =
            count.query_row(params![lock.app_id, self.now.unix_us], |row| row.get(0))?;
        self.set(lock, owner, ttl)?;
        Ok(Asked::Acquired {
            token: token.unsigned_abs(),
            sent: self.now.moment,
        })
    }

    fn set(&self, lock: &LockId, owner: &str, ttl: Duration) -> Result<()> {
        let mut set = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO locks (app, name, owner, ttl, expires, ends)
             VALUES (?1, ?2, ?3, ?4, ?5 + ?4, ?6 + ?4)",
        )?;
        let now = &self.now;
        set.execute(params![
            lock.app_id,
            lock.name,
            owner,
            millis(ttl),
            now.boot_ms,
            now.unix_ms()
        ])?;
        Ok(())
    }

    fn free(&self, lock: &LockId) -> Result<()> {
        let mut free = self
            .connection
            .prepare_cached("DELETE FROM locks WHERE app = ?1 AND name = ?2")?;
        free.execute(params![lock.app_id, lock.name])?;
        Ok(())
    }

    // ---- the queue

    fn first(&self, lock: &LockId) -> Result<Option<Waiter>> {
        let mut select = self.connection.prepare_cached(
            "SELECT place, owner, inbox FROM waiters WHERE app = ?1 AND name = ?2 ORDER BY place, owner LIMIT 1",
        )?;
        select
            .query_row(params![lock.app_id, lock.name], |row| {
                Ok(Waiter {
                    place: row.get(0)?,
                    owner: row.get(1)?,
                    inbox: row.get(2)?,
                })
            })
            .optional()
    }

    fn count(&self, lock: &LockId) -> Result<u64> {
        let mut count = self
            .connection
            .prepare_cached("SELECT count(*) FROM waiters WHERE app = ?1 AND name = ?2")?;
        let count: i64 = count.query_row(params![lock.app_id, lock.name], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Queues, once; who was queued gets the earlier place back.
    fn queue(&self, lock: &LockId, owner: &str, inbox: &str, earlier: Option<u64>) -> Result<i64> {
        let mut find = self.connection.prepare_cached(
            "SELECT place FROM waiters WHERE app = ?1 AND name = ?2 AND place >= ?3 AND owner = ?4 LIMIT 1",
        )?;
        let earlier = earlier.and_then(|place| i64::try_from(place).ok());
        let parameters = params![lock.app_id, lock.name, earlier.unwrap_or(0), owner];
        if let Some(place) = find.query_row(parameters, |row| row.get(0)).optional()? {
            return Ok(place);
        }
        let place = if let Some(place) = earlier {
            place
        } else {
            let mut last = self
                .connection
                .prepare_cached("SELECT max(place) FROM waiters WHERE app = ?1 AND name = ?2")?;
            let last: Option<i64> =
                last.query_row(params![lock.app_id, lock.name], |row| row.get(0))?;
            last.map_or(self.now.unix_us, |last| self.now.unix_us.max(last + 1))
        };
        let mut queue = self.connection.prepare_cached(
            "INSERT INTO waiters (app, name, place, owner, inbox) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        queue.execute(params![lock.app_id, lock.name, place, owner, inbox])?;
        Ok(place)
    }

    /// Takes the owner out of the queue; whether it was the first.
    fn leave(&self, lock: &LockId, owner: &str) -> Result<bool> {
        let first = self.first(lock)?;
        let Some(first) = first else {
            return Ok(false);
        };
        let mut leave = self
            .connection
            .prepare_cached("DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND owner = ?3")?;
        let left = leave.execute(params![lock.app_id, lock.name, owner])?;
        Ok(left > 0 && first.owner == owner)
    }

    /// Gives a free name to its first waiter who is alive. `asking` is alive, since it asks.
    fn hand_over(&mut self, lock: &LockId, asking: Option<&str>) -> Result<Handed> {
        while let Some(first) = self.first(lock)? {
            if asking == Some(first.owner.as_str()) {
                self.pop(lock, &first)?;
                return Ok(Handed::Asking);
            }
            if let Some(by) = self.post.reach(&first.inbox) {
                self.pop(lock, &first)?;
                self.set(lock, &first.owner, CLAIM_WINDOW)?;
                self.tell(
                    by,
                    Event::Granted {
                        lock: lock.clone(),
                        owner: first.owner,
                    },
                );
                self.tell_first(lock)?;
                return Ok(Handed::Granted);
            }
            self.bury(lock, &first.inbox)?;
        }
        Ok(Handed::Nobody)
    }

    fn pop(&self, lock: &LockId, waiter: &Waiter) -> Result<()> {
        let mut pop = self.connection.prepare_cached(
            "DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND place = ?3 AND owner = ?4",
        )?;
        pop.execute(params![lock.app_id, lock.name, waiter.place, waiter.owner])?;
        Ok(())
    }

    /// Tells the first waiter that it is the next, with the time it has to watch.
    fn tell_first(&mut self, lock: &LockId) -> Result<()> {
        while let Some(first) = self.first(lock)? {
            if let Some(by) = self.post.reach(&first.inbox) {
                let holder = self.holder(lock)?;
                let expires_in = holder.map(|holder| self.left(&holder));
                self.tell(
                    by,
                    Event::Next {
                        owner: first.owner,
                        expires_in,
                    },
                );
                break;
            }
            self.bury(lock, &first.inbox)?;
        }
        Ok(())
    }

    /// A process is gone, and with it all its waiters.
    fn bury(&self, lock: &LockId, inbox: &str) -> Result<()> {
        let mut gone = self
            .connection
            .prepare_cached("DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND inbox = ?3")?;
        gone.execute(params![lock.app_id, lock.name, inbox])?;
        Ok(())
    }

    fn tell(&mut self, by: Way, event: Event) {
        self.news.push(News { by, event });
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
