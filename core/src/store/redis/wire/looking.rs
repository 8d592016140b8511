//! Commands that only look, and their replies: who holds a lock, for how long, who waits, and which locks there are.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::{Packed, expiry};
use crate::error::Error;
use crate::lock_info::LockInfo;
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

/// Who holds the lock.
pub(in crate::store::redis) fn holder(out: &mut Packed, keys: &Keys) {
    out.words(&["GET", keys.lock()]);
}

/// Reads the reply to [`holder`]; `None` when nobody holds it.
pub(in crate::store::redis) fn held_by(replies: &[Value]) -> Result<Option<Arc<[u8]>>, Error> {
    match replies {
        [Value::ServerError(error)] => Err(failure::from_server(error)),
        [Value::Nil] => Ok(None),
        [Value::BulkString(owner)] => Ok(Some(owner.as_slice().into())),
        _ => Err(failure::unexpected("get", replies)),
    }
}

/// What [`inspect`] says of one lock.
pub(in crate::store::redis) struct Inspected {
    pub(in crate::store::redis) owner: String,
    pub(in crate::store::redis) expires_in: Option<Duration>,
    pub(in crate::store::redis) waiters: u64,
}

impl Inspected {
    /// The same, of the lock that was looked at.
    pub(in crate::store::redis) fn of(self, id: &LockId) -> LockInfo {
        LockInfo {
            name: id.name().to_string(),
            owner: self.owner,
            expires_in: self.expires_in,
            waiters: self.waiters,
        }
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
