//! What can be done in a store, each in one transaction: ask, release, renew, inspect, list.
//!
//! The rules are those of the scripts in `store/redis/scripts/`, in one respect stricter: a take sees the queue, so nobody
//! slips in before those who wait.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Result, params};

use super::glob;
use super::queue::{Asking, CLAIM_WINDOW};
use super::sharing::{Holders, SHARED};
use super::work::{Holder, Work, millis};
use crate::claim::Claim;
use crate::lock_info::{HOLDERS_LISTED, LockInfo};
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
    let Claim { lock, owner, limit } = claim;
    if ask == Ask::Take && limit.is_exclusive() && work.take(lock, owner, ttl)? {
        return work.acquired(lock);
    }
    let mut holders = work.holders(lock)?;
    if work.is_held_by(&holders, claim)? {
        // A claim, or the repeat of a take. Who holds a name does not wait for it.
        work.set_time(&holders, lock, owner, ttl)?;
        let asked = work.acquired(lock)?;
        if ttl < CLAIM_WINDOW {
            // The next watches the claim window, and would look too late.
            work.tell_first(lock)?;
        }
        return Ok(asked);
    }
    let (mut place, mut is_another) = (None, false);
    let mut looks_again = false;
    if let Ask::Queue(Queueing { place: earlier, .. }) = ask {
        if holders.admits(*limit) && work.first(lock)?.is_none() {
            work.admit(&mut holders, lock, owner, *limit, ttl)?;
            return work.acquired(lock);
        }
        place = Some(work.queue(claim, inbox, earlier)?);
        looks_again = earlier.is_some();
    }
    // A newcomer to a name that is shared looks as well: a dead one who wants it alone may be all that is before it.
    if looks_again || matches!(holders, Holders::Many(_)) {
        is_another = work.bury_gone(lock)?;
    }
    let handed = work.hand_over(lock, &mut holders, Some(Asking { claim, ttl }))?;
    if handed.asking {
        return work.acquired(lock);
    }
    if holders.admits(*limit) && work.first(lock)?.is_none() {
        work.admit(&mut holders, lock, owner, *limit, ttl)?;
        return work.acquired(lock);
    }
    if is_another && !handed.is_told {
        work.tell_first(lock)?;
    }
    let first = work.first(lock)?;
    let watched = first.as_ref().map_or(*limit, |first| first.limit);
    let (mut head, mut waiters) = (false, 0);
    if place.is_some() {
        head = first.is_some_and(|first| *first.owner == **owner);
        waiters = work.count(lock)?;
    }
    Ok(Asked::Held(Queued {
        expires_in: work.watch(lock, &holders, watched)?,
        place: place.map_or(0, i64::unsigned_abs),
        head,
        waiters,
        ..Queued::default()
    }))
}

/// Gives a name back later: its holder has it for so long, which nobody renews.
fn keep(work: &mut Work<'_>, claim: &Claim, after: Duration) -> Result<Ownership> {
    let Claim { lock, owner, .. } = claim;
    let holders = work.holders(lock)?;
    if !work.is_held_by(&holders, claim)? {
        let is_others = !holders.is_nobody();
        return Ok(if is_others {
            Ownership::Other
        } else {
            Ownership::Nobody
        });
    }
    work.set_time(&holders, lock, owner, after)?;
    // That may be sooner than the next was told.
    work.tell_first(lock)?;
    Ok(Ownership::Mine)
}

/// Gives a name back, leaves the queue, or both.
pub(super) fn release(work: &mut Work<'_>, releaser: &Releaser) -> Result<Ownership> {
    if let Releaser::Later(claim, after) = releaser {
        return keep(work, claim, *after);
    }
    let lock = releaser.lock();
    if let Releaser::Own(claim) = releaser
        && work.give_back(lock, &claim.owner)?
    {
        return Ok(Ownership::Mine);
    }
    let owners: Vec<&str> = match releaser {
        Releaser::Own(claim) | Releaser::Later(claim, _) => vec![&claim.owner],
        // What is no text holds nothing here.
        Releaser::ByHand(_, owners) => {
            let texts = owners.iter().map(|owner| std::str::from_utf8(owner).ok());
            texts.flatten().collect()
        }
    };
    let mut holders = work.holders(lock)?;
    let watched = work.watched(lock, &holders)?;
    let mine = work.end(lock, &mut holders, &owners)?;
    let mut head_left = false;
    if let Releaser::Own(claim) = releaser
        && !mine
    {
        head_left = work.leave(lock, &claim.owner)?;
    }
    if mine {
        work.tell_of_end(releaser);
    }
    let is_others = !holders.is_nobody();
    let handed = work.hand_over(lock, &mut holders, None)?;
    if holders.is_nobody() {
        work.free(lock)?;
    } else if !handed.is_told {
        // What the first has to watch may be nearer than it was told.
        let is_nearer = mine && is_others && work.watched(lock, &holders)? < watched;
        if head_left || is_nearer {
            work.tell_first(lock)?;
        }
    }
    Ok(match mine {
        true => Ownership::Mine,
        false if is_others => Ownership::Other,
        false => Ownership::Nobody,
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
                let is_extended = if claim.limit.is_exclusive() {
                    renew.execute(parameters)? == 1
                } else {
                    work.extend_shared(claim, *ttl, *may_shorten)?
                };
                if is_extended {
                    return Ok(Ownership::Mine);
                }
                let holders = work.holders(lock)?;
                Ok(match holders {
                    _ if work.is_held_by(&holders, claim)? => Ownership::MineForLonger,
                    Holders::Nobody => Ownership::Nobody,
                    // That others share it is no reason why this one does not.
                    Holders::Many(_) if !claim.limit.is_exclusive() => Ownership::Nobody,
                    Holders::One(_) | Holders::Many(_) => Ownership::Other,
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
    let waiters = work.count(lock)?;
    info(work, lock, holder, waiters, None)
}

/// What is told of a lock in whose place this holder stands. Of those who share it, up to `most` are named.
fn info(
    work: &Work<'_>,
    lock: &LockId,
    holder: Holder,
    waiters: u64,
    most: Option<usize>,
) -> Result<Option<LockInfo>> {
    let (name, left) = (lock.name().to_string(), Some(work.left(&holder)));
    if holder.owner != SHARED {
        let info = LockInfo::exclusive(name, holder.owner, left, waiters);
        return Ok(Some(info));
    }
    let Holders::Many(count) = work.holders(lock)? else {
        return Ok(None);
    };
    let most = most.and_then(|most| i64::try_from(most).ok());
    let holders = work.sharing(lock, most.unwrap_or(-1))?;
    Ok(LockInfo::shared(name, holders, count, left, waiters))
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
            let waiters = row.get::<_, i64>(3)?.unsigned_abs();
            let lock = LockId::of_key(app_id.clone(), &name);
            found.extend(info(work, &lock, holder, waiters, Some(HOLDERS_LISTED))?);
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
