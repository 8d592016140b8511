//! The queue of a name, and handing the name over to whoever is next.

use std::time::Duration;

use rusqlite::{OptionalExtension, Result, params};

use super::post::{News, Way};
use super::sharing::Holders;
use super::work::Work;
use crate::claim::Claim;
use crate::limit::Limit;
use crate::name::LockId;
use crate::store::Event;

/// A grant is claimed within this time, or the name goes on to the next waiter.
pub(super) const CLAIM_WINDOW: Duration = Duration::from_secs(2);

/// Of so many processes that wait for a name one look finds out whether they have gone.
const INBOXES_LOOKED_AT: u32 = 64;

/// So many get a name that they share in one transaction, so that none takes long. The next is told that it may have it, and asks.
const MOST_ADMITTED: usize = 100;

/// One waiter's entry in the queue of a name.
pub(super) struct QueueEntry {
    pub(super) place: i64,
    pub(super) owner: String,
    pub(super) inbox: String,
    pub(super) limit: Limit,
}

/// Who asks for a name, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) claim: &'a Claim,
    pub(super) ttl: Duration,
}

/// What came of handing a name over.
#[derive(Clone, Copy, Default)]
pub(super) struct Handed {
    /// The owner that asks was among those whose turn it was, and has the name.
    pub(super) asking: bool,
    /// Somebody has left the queue, and the first waiter was told.
    pub(super) is_told: bool,
}

impl Work<'_> {
    /// The first waiter in the queue.
    pub(super) fn first(&self, lock: &LockId) -> Result<Option<QueueEntry>> {
        let mut select = self.connection.prepare_cached(
            "SELECT place, owner, inbox, permits FROM waiters WHERE app = ?1 AND name = ?2 ORDER BY place, owner LIMIT 1",
        )?;
        select
            .query_row(params![lock.app_id(), lock.name()], |row| {
                Ok(QueueEntry {
                    place: row.get(0)?,
                    owner: row.get(1)?,
                    inbox: row.get(2)?,
                    limit: Limit::of_number(row.get(3)?),
                })
            })
            .optional()
    }

    /// How many wait for the name.
    pub(super) fn count(&self, lock: &LockId) -> Result<u64> {
        let mut count = self
            .connection
            .prepare_cached("SELECT count(*) FROM waiters WHERE app = ?1 AND name = ?2")?;
        let count: i64 = count.query_row(params![lock.app_id(), lock.name()], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Queues the owner, once; an owner that was queued before gets the earlier place back.
    pub(super) fn queue(&self, claim: &Claim, inbox: &str, earlier: Option<u64>) -> Result<i64> {
        let Claim { lock, owner, limit } = claim;
        let mut find = self.connection.prepare_cached(
            "SELECT place FROM waiters WHERE app = ?1 AND name = ?2 AND place >= ?3 AND owner = ?4 LIMIT 1",
        )?;
        let earlier = earlier.and_then(|place| i64::try_from(place).ok());
        let parameters = params![lock.app_id(), lock.name(), earlier.unwrap_or(0), owner];
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
                last.query_row(params![lock.app_id(), lock.name()], |row| row.get(0))?;
            last.map_or(self.now.unix_us, |last| self.now.unix_us.max(last + 1))
        };
        let mut queue = self.connection.prepare_cached(
            "INSERT INTO waiters (app, name, place, owner, inbox, permits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        queue.execute(params![
            lock.app_id(),
            lock.name(),
            place,
            owner,
            inbox,
            limit.number()
        ])?;
        Ok(place)
    }

    /// Takes the owner out of the queue; `true` when the owner was the first.
    pub(super) fn leave(&self, lock: &LockId, owner: &str) -> Result<bool> {
        let first = self.first(lock)?;
        let Some(first) = first else {
            return Ok(false);
        };
        let mut leave = self
            .connection
            .prepare_cached("DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND owner = ?3")?;
        let left = leave.execute(params![lock.app_id(), lock.name(), owner])?;
        Ok(left > 0 && first.owner == owner)
    }

    /// Gives the name to its first waiters who are alive, one after the other, while they may have it. `asking` is alive, since
    /// it asks, and has it for its time; the others for the claim window.
    pub(super) fn hand_over(
        &mut self,
        lock: &LockId,
        holders: &mut Holders,
        asking: Option<Asking<'_>>,
    ) -> Result<Handed> {
        let mut handed = Handed::default();
        let mut granted = Vec::new();
        for _ in 0..MOST_ADMITTED {
            if let Holders::One(_) = holders {
                break;
            }
            let Some((first, by)) = self.next_admitted(lock, holders, asking, &mut handed)? else {
                break;
            };
            self.pop(lock, &first)?;
            handed.is_told = true;
            match (asking, by) {
                (Some(Asking { claim, ttl }), None) => {
                    self.admit(holders, lock, &claim.owner, claim.limit, ttl)?;
                    handed.asking = true;
                }
                (_, by) => {
                    self.admit(holders, lock, &first.owner, first.limit, CLAIM_WINDOW)?;
                    granted.extend(by.map(|by| (by, first.owner)));
                }
            }
        }
        if handed.is_told {
            // The next one hears first: whoever is granted the name may claim it at once, and then tells it more.
            self.tell_first(lock)?;
        }
        for (by, owner) in granted {
            let (lock, grant) = (lock.clone(), None);
            self.tell(by, Event::Granted { lock, owner, grant });
        }
        Ok(handed)
    }

    /// The first waiter who is alive, if it may have the name, and the way to tell it: none to whoever asks. The dead before it
    /// are dropped.
    fn next_admitted(
        &self,
        lock: &LockId,
        holders: &Holders,
        asking: Option<Asking<'_>>,
        handed: &mut Handed,
    ) -> Result<Option<(QueueEntry, Option<Way>)>> {
        while let Some(first) = self.first(lock)? {
            if !holders.admits(first.limit) {
                return Ok(None);
            }
            if asking.is_some_and(|asking| *asking.claim.owner == *first.owner) {
                return Ok(Some((first, None)));
            }
            if let Some(by) = self.post.reach(&first.inbox) {
                return Ok(Some((first, Some(by))));
            }
            self.bury(lock, &first.inbox)?;
            handed.is_told = true;
        }
        Ok(None)
    }

    fn pop(&self, lock: &LockId, waiter: &QueueEntry) -> Result<()> {
        let mut pop = self.connection.prepare_cached(
            "DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND place = ?3 AND owner = ?4",
        )?;
        pop.execute(params![
            lock.app_id(),
            lock.name(),
            waiter.place,
            waiter.owner
        ])?;
        Ok(())
    }

    /// Tells the first waiter that it is the next, with the time it has to watch.
    pub(super) fn tell_first(&mut self, lock: &LockId) -> Result<()> {
        while let Some(first) = self.first(lock)? {
            if let Some(by) = self.post.reach(&first.inbox) {
                let holders = self.holders(lock)?;
                let expires_in = self.watch(lock, &holders, first.limit)?;
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

    /// Drops waiters whose processes have gone: while the name is held, nobody else does. Whether the first was one, and another
    /// is the first now.
    pub(super) fn bury_gone(&self, lock: &LockId) -> Result<bool> {
        let before = self.first(lock)?;
        let inboxes = {
            let mut select = self.connection.prepare_cached(
                "SELECT DISTINCT inbox FROM waiters WHERE app = ?1 AND name = ?2 ORDER BY random() LIMIT ?3",
            )?;
            let parameters = params![lock.app_id(), lock.name(), INBOXES_LOOKED_AT];
            let rows = select.query_map(parameters, |row| row.get(0))?;
            rows.collect::<Result<Vec<String>>>()?
        };
        for inbox in inboxes {
            if self.post.reach(&inbox).is_none() {
                self.bury(lock, &inbox)?;
            }
        }
        let is_another = |(before, first): (QueueEntry, QueueEntry)| before.owner != first.owner;
        Ok(before.zip(self.first(lock)?).is_some_and(is_another))
    }

    /// A process is gone, and with it all its waiters.
    fn bury(&self, lock: &LockId, inbox: &str) -> Result<()> {
        let mut gone = self
            .connection
            .prepare_cached("DELETE FROM waiters WHERE app = ?1 AND name = ?2 AND inbox = ?3")?;
        gone.execute(params![lock.app_id(), lock.name(), inbox])?;
        Ok(())
    }

    fn tell(&mut self, by: Way, event: Event) {
        self.news.push(News { by, event });
    }
}
