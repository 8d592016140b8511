//! A lock as programs read it: the objects of `--json`.

use leaselock::LockInfo;
use serde::Serialize;

use crate::duration::seconds;
use crate::exit::Failure;

/// A lock that is held.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    name: &'a str,
    owner: &'a str,
    /// Seconds; null when the lock has no end, which only another program's can have.
    expires_in: Option<f64>,
    waiters: u64,
    mode: &'static str,
    /// Who holds it; no more than the first ten of a listing.
    holders: Vec<Holder<'a>>,
    holder_count: u64,
}

/// One that holds a lock.
#[derive(Debug, Serialize)]
pub(crate) struct Holder<'a> {
    owner: &'a str,
    expires_in: Option<f64>,
}

/// Those who hold it, in the order in which their leases end.
pub(crate) fn holders(lock: &LockInfo) -> Vec<Holder<'_>> {
    let holders = lock.holders.iter().map(|holder| Holder {
        owner: &holder.owner,
        expires_in: holder.expires_in.map(seconds),
    });
    holders.collect()
}

impl<'a> Record<'a> {
    pub(crate) fn new(lock: &'a LockInfo) -> Self {
        Self {
            name: &lock.name,
            owner: &lock.owner,
            expires_in: lock.expires_in.map(seconds),
            waiters: lock.waiters,
            mode: lock.mode.as_str(),
            holders: holders(lock),
            holder_count: lock.holder_count,
        }
    }
}

/// One line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::from(std::io::Error::from(error)))
}
