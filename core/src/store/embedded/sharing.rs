//! Who holds a name: nobody, one alone, or many who share it. The rules are those of `holders.lua`.

use std::time::Duration;

use rusqlite::{OptionalExtension, Result, params};

use super::work::{Holder, Work, millis};
use crate::claim::Claim;
use crate::limit::Limit;
use crate::lock_info;
use crate::name::LockId;

/// The owner of a name that is shared: who holds it is in the table of holders. No owner begins with `||`.
pub(super) const SHARED: &str = "||shared";

/// Who holds a name.
pub(super) enum Holders {
    Nobody,
    One(Holder),
    /// So many share it.
    Many(u64),
}

impl Holders {
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    /// Whether one that asks with this limit may have the name now, if nobody is before it.
    pub(super) fn admits(&self, limit: Limit) -> bool {
        match self {
            Self::Nobody => true,
            Self::One(_) => false,
            Self::Many(count) => limit.fits_beside(*count),
        }
    }
}

impl Work<'_> {
    /// Who holds the name. Those who share it and whose leases have ended do not.
    pub(super) fn holders(&self, lock: &LockId) -> Result<Holders> {
        let Some(holder) = self.holder(lock)? else {
            return Ok(Holders::Nobody);
        };
        if holder.owner != SHARED {
            return Ok(Holders::One(holder));
        }
        let mut count = self.connection.prepare_cached(
            "SELECT count(*) FROM holders WHERE app = ?1 AND name = ?2 AND expires > ?3",
        )?;
        let parameters = params![lock.app_id(), lock.name(), self.now.boot_ms];
        let count: i64 = count.query_row(parameters, |row| row.get(0))?;
        Ok(match count.unsigned_abs() {
            0 => Holders::Nobody,
            count => Holders::Many(count),
        })
    }

    /// Whether the claim's owner is one of those who hold the name.
    pub(super) fn is_held_by(&self, holders: &Holders, claim: &Claim) -> Result<bool> {
        let Claim { lock, owner, .. } = claim;
        match holders {
            Holders::Nobody => Ok(false),
            Holders::One(holder) => Ok(*holder.owner == **owner),
            Holders::Many(_) => {
                let mut find = self.connection.prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM holders WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?4)",
                )?;
                let parameters = params![lock.app_id(), lock.name(), owner, self.now.boot_ms];
                find.query_row(parameters, |row| row.get(0))
            }
        }
    }

    /// The owner, who was found to be admitted, gets the name.
    pub(super) fn admit(
        &self,
        holders: &mut Holders,
        lock: &LockId,
        owner: &str,
        limit: Limit,
        ttl: Duration,
    ) -> Result<()> {
        if limit.is_exclusive() {
            self.set(lock, owner, ttl)?;
            *holders = Holders::One(Holder {
                owner: owner.to_owned(),
                expires: self.now.boot_ms.saturating_add(millis(ttl)),
            });
            return Ok(());
        }
        let (all, those) = match holders {
            // Whatever the table has of them is void.
            Holders::Nobody | Holders::One(_) => (0, i64::MAX),
            Holders::Many(count) => (*count, self.now.boot_ms),
        };
        let mut drop = self
            .connection
            .prepare_cached("DELETE FROM holders WHERE app = ?1 AND name = ?2 AND expires <= ?3")?;
        drop.execute(params![lock.app_id(), lock.name(), those])?;
        *holders = Holders::Many(all + 1);
        self.share(lock, owner, ttl)
    }

    /// Sets the time of one who was found to hold the name.
    pub(super) fn set_time(
        &self,
        holders: &Holders,
        lock: &LockId,
        owner: &str,
        ttl: Duration,
    ) -> Result<()> {
        match holders {
            Holders::Many(_) => self.share(lock, owner, ttl),
            Holders::One(_) | Holders::Nobody => self.set(lock, owner, ttl),
        }
    }

    /// Sets the time of one who shares the name.
    pub(super) fn share(&self, lock: &LockId, owner: &str, ttl: Duration) -> Result<()> {
        let mut set = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO holders (app, name, owner, ttl, expires, ends)
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
        self.follow(lock)
    }

    /// The name is shared until the last of those who hold it has ended.
    fn follow(&self, lock: &LockId) -> Result<()> {
        let mut follow = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO entries (app, name, owner, ttl, expires, ends)
             SELECT app, name, ?3, ttl, expires, ends FROM holders
             WHERE app = ?1 AND name = ?2 ORDER BY expires DESC LIMIT 1",
        )?;
        follow.execute(params![lock.app_id(), lock.name(), SHARED])?;
        Ok(())
    }

    /// Extends what one who shares the name still holds; `false` when that is not so, or it has more than that already.
    pub(super) fn extend_shared(
        &self,
        claim: &Claim,
        ttl: Duration,
        may_shorten: bool,
    ) -> Result<bool> {
        let Claim { lock, owner, .. } = claim;
        let mut extend = self.connection.prepare_cached(
            "UPDATE holders SET ttl = ?4, expires = ?5 + ?4, ends = ?6 + ?4
             WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?5 AND (?7 OR expires <= ?5 + ?4)
             AND EXISTS (SELECT 1 FROM entries WHERE app = ?1 AND name = ?2 AND owner = ?8 AND expires > ?5)",
        )?;
        let now = &self.now;
        let extended = extend.execute(params![
            lock.app_id(),
            lock.name(),
            owner,
            millis(ttl),
            now.boot_ms,
            now.unix_ms(),
            may_shorten,
            SHARED
        ])?;
        if extended == 1 {
            self.follow(lock)?;
        }
        Ok(extended == 1)
    }

    /// The owners do not hold the name any more; whether one of them did. A name that nobody holds then is to be handed over,
    /// or freed.
    pub(super) fn end(
        &self,
        lock: &LockId,
        holders: &mut Holders,
        owners: &[&str],
    ) -> Result<bool> {
        match holders {
            Holders::Nobody => Ok(false),
            Holders::One(holder) => {
                let is_met = owners.contains(&&*holder.owner);
                if is_met {
                    *holders = Holders::Nobody;
                }
                Ok(is_met)
            }
            Holders::Many(count) => {
                let mut end = self.connection.prepare_cached(
                    "DELETE FROM holders WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?4",
                )?;
                let mut ended = 0;
                for owner in owners {
                    let now = self.now.boot_ms;
                    ended += end.execute(params![lock.app_id(), lock.name(), owner, now])?;
                }
                let left = count.saturating_sub(ended as u64);
                if left == 0 {
                    *holders = Holders::Nobody;
                } else if ended > 0 {
                    *holders = Holders::Many(left);
                    self.follow(lock)?;
                }
                Ok(ended > 0)
            }
        }
    }

    /// What the first waiter has to watch, whose limit this is: when there is room for it, if nobody gives back.
    pub(super) fn watch(
        &self,
        lock: &LockId,
        holders: &Holders,
        limit: Limit,
    ) -> Result<Option<Duration>> {
        let count = match holders {
            Holders::Nobody => return Ok(None),
            Holders::One(holder) => return Ok(Some(self.left(holder))),
            Holders::Many(_) if holders.admits(limit) => return Ok(Some(Duration::ZERO)),
            Holders::Many(count) => *count,
        };
        let mut select = self.connection.prepare_cached(
            "SELECT owner, expires FROM holders WHERE app = ?1 AND name = ?2 AND expires > ?3
             ORDER BY expires LIMIT 1 OFFSET ?4",
        )?;
        let before = count.saturating_sub(limit.number().into());
        let parameters = params![
            lock.app_id(),
            lock.name(),
            self.now.boot_ms,
            i64::try_from(before).unwrap_or(i64::MAX)
        ];
        let found = select.query_row(parameters, Holder::of_row).optional()?;
        Ok(found.map(|holder| self.left(&holder)))
    }

    /// What the first waiter has to watch, if there is one.
    pub(super) fn watched(&self, lock: &LockId, holders: &Holders) -> Result<Option<Duration>> {
        // While one has it alone, that is as it was told.
        match holders {
            Holders::Many(_) => match self.first(lock)? {
                Some(first) => self.watch(lock, holders, first.limit),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Those who share the name, in the order in which their leases end, up to `most`.
    pub(super) fn sharing(&self, lock: &LockId, most: i64) -> Result<Vec<lock_info::Holder>> {
        let mut select = self.connection.prepare_cached(
            "SELECT owner, expires FROM holders WHERE app = ?1 AND name = ?2 AND expires > ?3
             ORDER BY expires, owner LIMIT ?4",
        )?;
        let parameters = params![lock.app_id(), lock.name(), self.now.boot_ms, most];
        let rows = select.query_map(parameters, Holder::of_row)?;
        rows.map(|row| {
            let holder = row?;
            Ok(lock_info::Holder {
                expires_in: Some(self.left(&holder)),
                owner: holder.owner,
            })
        })
        .collect()
    }
}
