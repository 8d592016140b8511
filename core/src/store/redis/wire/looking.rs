//! Commands that only look, and their replies: who holds a lock, for how long, who waits, and which locks there are.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::{Packed, expiry, text};
use crate::error::Error;
use crate::lock_info::{Holder, LockInfo};
use crate::name::LockId;
use crate::store::redis::failure;
use crate::store::redis::keys::Keys;

/// Holder, time left and waiters of several locks: three commands each.
pub(in crate::store::redis) fn inspect<'a>(out: &mut Packed, keys: impl Iterator<Item = &'a Keys>) {
    for keys in keys {
        out.words(&["GET", keys.lock()]);
        out.words(&["PTTL", keys.lock()]);
        out.words(&["ZCARD", &keys.queue]);
    }
}

/// What stands in a lock's key while the lock is shared.
const SHARED: &str = "||shared";

/// Who holds the lock.
pub(in crate::store::redis) fn holder(out: &mut Packed, keys: &Keys) {
    out.words(&["GET", keys.lock()]);
}

/// Who a lock is held by.
pub(in crate::store::redis) enum HeldBy {
    Nobody,
    One(Arc<[u8]>),
    /// Those that [`holders`] names.
    Many,
}

/// Reads the reply to [`holder`].
pub(in crate::store::redis) fn held_by(replies: &[Value]) -> Result<HeldBy, Error> {
    match replies {
        [Value::ServerError(error)] => Err(failure::from_server(error)),
        [Value::Nil] => Ok(HeldBy::Nobody),
        [Value::BulkString(owner)] if owner == SHARED.as_bytes() => Ok(HeldBy::Many),
        [Value::BulkString(owner)] => Ok(HeldBy::One(owner.as_slice().into())),
        _ => Err(failure::unexpected("get", replies)),
    }
}

/// So many holders of a lock are asked for at once: a reply is to stay short.
const HOLDERS_AT_ONCE: usize = 1_000;

/// Who shares the lock, of all from the one at `first` on.
pub(in crate::store::redis) fn holders(out: &mut Packed, keys: &Keys, first: usize) {
    let (first, last) = (first.to_string(), (first + HOLDERS_AT_ONCE - 1).to_string());
    out.words(&["ZRANGE", &keys.holders(), &first, &last]);
}

/// Adds those that a reply to [`holders`] names; whether there may be more.
pub(in crate::store::redis) fn met(
    all: &mut Vec<Arc<[u8]>>,
    replies: &[Value],
) -> Result<bool, Error> {
    match replies {
        [Value::ServerError(error)] => Err(failure::from_server(error)),
        [Value::Array(owners)] => {
            all.extend(owners.iter().filter_map(|owner| match owner {
                Value::BulkString(owner) => Some(owner.as_slice().into()),
                _ => None,
            }));
            Ok(owners.len() == HOLDERS_AT_ONCE)
        }
        _ => Err(failure::unexpected("zrange", replies)),
    }
}

/// What [`inspect`] says of one lock.
pub(in crate::store::redis) struct Inspected {
    owner: String,
    expires_in: Option<Duration>,
    waiters: u64,
}

impl Inspected {
    /// Whether [`sharing`] is to be asked for, too.
    pub(in crate::store::redis) fn is_shared(&self) -> bool {
        self.owner == SHARED
    }

    /// The same, of the lock that was looked at.
    pub(in crate::store::redis) fn of(self, id: &LockId) -> LockInfo {
        let name = id.name().to_string();
        LockInfo::exclusive(name, self.owner, self.expires_in, self.waiters)
    }

    /// The same of a lock that these share.
    pub(in crate::store::redis) fn shared_by(
        self,
        id: &LockId,
        sharing: Sharing,
    ) -> Option<LockInfo> {
        let name = id.name().to_string();
        let count = sharing.count.saturating_sub(sharing.ended);
        LockInfo::shared(name, sharing.holders, count, self.expires_in, self.waiters)
    }
}

/// Reads the three replies for one lock; `None` when nobody holds it.
pub(in crate::store::redis) fn inspected(replies: &[Value]) -> Result<Option<Inspected>, Error> {
    for reply in replies {
        if let Value::ServerError(error) = reply {
            return Err(failure::from_server(error));
        }
    }
    match replies {
        [Value::Nil, ..] | [_, Value::Int(-2), _] => Ok(None),
        [
            Value::BulkString(owner),
            Value::Int(pttl),
            Value::Int(waiters),
        ] => Ok(Some(Inspected {
            owner: String::from_utf8_lossy(owner).into_owned(),
            expires_in: expiry(*pttl),
            waiters: u64::try_from(*waiters).unwrap_or(0),
        })),
        _ => Err(failure::unexpected("inspect", replies)),
    }
}

/// Who shares a lock.
#[derive(Default)]
pub(in crate::store::redis) struct Sharing {
    /// Of those that were asked for, in the order in which their leases end.
    holders: Vec<Holder>,
    /// How many were named, also those whose leases have ended.
    named: usize,
    ended: u64,
    /// How many there are in all.
    count: u64,
}

impl Sharing {
    /// Whether the leases of all that were asked for have ended, and there are more.
    pub(in crate::store::redis) fn is_of_ended(&self) -> bool {
        self.holders.is_empty() && self.count > self.ended
    }

    /// Adds those who follow. Whoever renews meanwhile may be named twice.
    pub(in crate::store::redis) fn extend(&mut self, next: Self) {
        self.holders.extend(next.holders);
        self.named += next.named;
        self.ended += next.ended;
        self.count = next.count;
    }

    /// Those to ask for next: from the first to the last.
    pub(in crate::store::redis) fn next(&self) -> (usize, usize) {
        (self.named, self.named + HOLDERS_AT_ONCE - 1)
    }

    /// Whether all were named.
    pub(in crate::store::redis) fn is_whole(&self) -> bool {
        usize::try_from(self.count).is_ok_and(|count| self.named >= count)
    }
}

/// Who shares these locks, by the keys of their holders: the server's time, and two commands for each. Named are the holders
/// from the first to the last.
pub(in crate::store::redis) fn sharing<'a>(
    out: &mut Packed,
    holders: impl Iterator<Item = &'a str>,
    (first, last): (usize, usize),
) {
    let (first, last) = (first.to_string(), last.to_string());
    out.words(&["TIME"]);
    for holders in holders {
        out.words(&["ZCARD", holders]);
        out.words(&["ZRANGE", holders, &first, &last, "WITHSCORES"]);
    }
}

/// Reads the replies of one lock to [`sharing`], and the first of all.
pub(in crate::store::redis) fn shared_by(
    time: &Value,
    replies: &[Value],
) -> Result<Sharing, Error> {
    let unexpected = || failure::unexpected("zrange", replies);
    for reply in replies {
        if let Value::ServerError(error) = reply {
            return Err(failure::from_server(error));
        }
    }
    let (Some(now), [Value::Int(count), Value::Array(found)]) = (millis_of(time), replies) else {
        return Err(unexpected());
    };
    let mut sharing = Sharing {
        count: u64::try_from(*count).unwrap_or(0),
        named: found.len(),
        ..Sharing::default()
    };
    for entry in found {
        let Value::Array(entry) = entry else {
            return Err(unexpected());
        };
        let [Value::BulkString(owner), Value::Double(ends)] = entry.as_slice() else {
            return Err(unexpected());
        };
        // Scores are whole, and far below where a float could not say that.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let left = (*ends as u64).saturating_sub(now);
        if left == 0 {
            sharing.ended += 1;
            continue;
        }
        sharing.holders.push(Holder {
            owner: String::from_utf8_lossy(owner).into_owned(),
            expires_in: Some(Duration::from_millis(left)),
        });
    }
    Ok(sharing)
}

/// The reply to TIME in milliseconds.
fn millis_of(time: &Value) -> Option<u64> {
    let Value::Array(parts) = time else {
        return None;
    };
    let mut parts = parts.iter().map(|part| text(part)?.parse::<u64>().ok());
    let (seconds, micros) = (parts.next()??, parts.next()??);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

/// One step of a `SCAN`.
pub(in crate::store::redis) fn scan(out: &mut Packed, cursor: u64, pattern: &str) {
    out.command(6);
    out.arg("SCAN");
    out.number(cursor);
    for word in ["MATCH", pattern, "COUNT", "500"] {
        out.arg(word);
    }
}

/// Reads the reply to a [`scan`]: the next cursor (zero at the end) and the keys, those that are text.
pub(in crate::store::redis) fn scanned(replies: &[Value]) -> Result<(u64, Vec<String>), Error> {
    let unexpected = || failure::unexpected("scan", replies);
    match replies {
        [Value::ServerError(error)] => Err(failure::from_server(error)),
        [Value::Array(parts)] => match parts.as_slice() {
            [Value::BulkString(cursor), Value::Array(keys)] => {
                let cursor = std::str::from_utf8(cursor)
                    .ok()
                    .and_then(|cursor| cursor.parse().ok())
                    .ok_or_else(unexpected)?;
                let keys = keys
                    .iter()
                    .filter_map(|key| match key {
                        Value::BulkString(key) => String::from_utf8(key.clone()).ok(),
                        _ => None,
                    })
                    .collect();
                Ok((cursor, keys))
            }
            _ => Err(unexpected()),
        },
        _ => Err(unexpected()),
    }
}
