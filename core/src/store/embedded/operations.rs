//! What can be done in a store, each in one transaction: ask, release, renew, inspect, list.
//!
//! The rules are those of the scripts in `store/redis/scripts/`, in one respect stricter: a take sees the queue, so nobody
//! slips in before those who wait.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Result, params};

use super::glob;
use super::queue::{CLAIM_WINDOW, Handed};
use super::work::{Holder, Work, millis};
use crate::claim::Claim;
use crate::lock_info::LockInfo;
use crate::name::LockId;
use crate::store::{Ask, Asked, Ownership, Queued, Queueing, Releaser, Renewal};

/// Takes, claims or queues for a name, on behalf of `inbox`.
pub(super) fn ask(
    work: &mut Work<'_>,
    claim: &Claim,
    inbox: &str,
    ttl: Duration,
    ask: Ask,
) -> Result<Asked> {
    let (lock, owner) = (&claim.lock, &*claim.owner);
    if ask == Ask::Take && work.take(lock, owner, ttl)? {
        return work.acquired(lock);
    }
    let holder = work.holder(lock)?;
    if let Some(holder) = &holder
        && holder.owner == owner
    {
        // A claim, or the repeat of a take. Who holds a name does not wait for it.
        let asked = work.acquire(lock, owner, ttl)?;
        if ttl < CLAIM_WINDOW {
            // The next watches the claim window, and would look too late.
            work.tell_first(lock)?;
        }
        return Ok(asked);
    }
    let mut place = None;
    if let Ask::Queue(Queueing { place: earlier, .. }) = ask {
        if holder.is_none() && work.first(lock)?.is_none() {
            return work.acquire(lock, owner, ttl);
        }
        place = Some(work.queue(lock, owner, inbox, earlier)?);
    }
    if holder.is_none() {
        match work.hand_over(lock, Some(owner))? {
            Handed::Asking => {
                let asked = work.acquire(lock, owner, ttl)?;
                work.tell_first(lock)?;
                return Ok(asked);
            }
            Handed::Nobody => return work.acquire(lock, owner, ttl),
            Handed::Granted => {}
        }
    }
    let holder = work.holder(lock)?;
    if let Ask::Queue(Queueing { place: Some(_), .. }) = ask {
        work.bury_gone(lock)?;
    }
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
        ..Queued::default()
    }))
}

/// Gives a name back, leaves the queue, or both.
pub(super) fn release(work: &mut Work<'_>, releaser: &Releaser) -> Result<Ownership> {
    let lock = releaser.lock();
    let owner = match releaser {
        Releaser::Own(claim) => Some(&*claim.owner),
        // What is no text holds nothing here.
        Releaser::ByHand(_, owner) => std::str::from_utf8(owner).ok(),
    };
    if let Some(owner) = owner
        && work.give_back(lock, owner)?
    {
        work.tell_of_end(releaser);
        return Ok(Ownership::Mine);
    }
    let holder = work.holder(lock)?;
    let mine = holder
        .as_ref()
        .is_some_and(|holder| owner == Some(&*holder.owner));
    let mut head_left = false;
    if let Releaser::Own(claim) = releaser
        && !mine
    {
        head_left = work.leave(lock, &claim.owner)?;
    }
    if mine {
        work.tell_of_end(releaser);
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
        "UPDATE entries SET ttl = ?4, expires = ?5 + ?4, ends = ?6 + ?4
         WHERE app = ?1 AND name = ?2 AND owner = ?3 AND expires > ?5 AND (?7 OR expires <= ?5 + ?4)",
    )?;
    let now = work.now;
    renewals
        .iter()
        .map(
            |Renewal {
                 claim,
                 ttl,
                 may_shorten,
             }| {
                let (lock, owner) = (&claim.lock, &*claim.owner);
                let parameters = params![
                    lock.app_id(),
                    lock.name(),
                    owner,
                    millis(*ttl),
                    now.boot_ms,
                    now.unix_ms(),
                    may_shorten
                ];
                if renew.execute(parameters)? == 1 {
                    return Ok(Ownership::Mine);
                }
                Ok(match work.holder(lock)? {
                    Some(holder) if holder.owner == *owner => Ownership::MineForLonger,
                    Some(_) => Ownership::Other,
                    None => Ownership::Nobody,
                })
            },
        )
        .collect()
}

/// Who holds a name. Reads only.
pub(super) fn inspect(work: &mut Work<'_>, lock: &LockId) -> Result<Option<LockInfo>> {
    let Some(holder) = work.holder(lock)? else {
        return Ok(None);
    };
    Ok(Some(LockInfo {
        name: lock.name().to_string(),
        expires_in: Some(work.left(&holder)),
        waiters: work.count(lock)?,
        owner: holder.owner,
    }))
}

/// The held locks of an application that match. Reads only.
pub(super) fn list(work: &mut Work<'_>, app_id: &Arc<str>, pattern: &str) -> Result<Vec<LockInfo>> {
    let mut select = work.connection.prepare_cached(
        "SELECT name, owner, expires,
                (SELECT count(*) FROM waiters WHERE waiters.app = entries.app AND waiters.name = entries.name)
         FROM entries WHERE app = ?1 AND name <> '' AND expires > ?2",
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
    let used = "SELECT EXISTS (SELECT 1 FROM entries WHERE name <> '' AND expires > ?1) OR EXISTS (SELECT 1 FROM waiters)";
    let mut select = work.connection.prepare_cached(used)?;
    select.query_row([work.now.boot_ms], |row| row.get(0))
}
