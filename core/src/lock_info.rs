//! What a client is told of a lock that it need not hold: who holds the lock, and what came of releasing or extending it by
//! hand.

use std::time::Duration;

/// What came of a release by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseStatus {
    /// The name was the owner's and is given back.
    Released,
    /// Nobody holds the name.
    NotFound,
    /// Someone else holds the name.
    NotOwner,
}

impl ReleaseStatus {
    /// The status in every language: `RELEASED`, `NOT_FOUND` or `NOT_OWNER`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "RELEASED",
            Self::NotFound => "NOT_FOUND",
            Self::NotOwner => "NOT_OWNER",
        }
    }
}

/// What came of an extension by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtendStatus {
    /// The name was the owner's and has the new TTL.
    Extended,
    /// Nobody holds the name.
    NotFound,
    /// Someone else holds the name.
    NotOwner,
}

impl ExtendStatus {
    /// The status in every language: `EXTENDED`, `NOT_FOUND` or `NOT_OWNER`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extended => "EXTENDED",
            Self::NotFound => "NOT_FOUND",
            Self::NotOwner => "NOT_OWNER",
        }
    }
}

/// Whether one holds a name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// One alone.
    Exclusive,
    /// Others may hold it at the same time.
    Shared,
}

impl Mode {
    /// The mode in every language: `exclusive` or `shared`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// One that holds a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its owner string.
    pub owner: String,
    /// Time until its lease ends; `None` when it has no end, which only a foreign holder's can be.
    pub expires_in: Option<Duration>,
}

/// Who holds a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockInfo {
    /// The lock's name.
    pub name: String,
    /// Whether one holds it alone.
    pub mode: Mode,
    /// The owner string of the first of `holders`.
    pub owner: String,
    /// Time until the last of their leases ends; `None` when there is no end, which only a foreign holder's can be.
    pub expires_in: Option<Duration>,
    /// Who holds it, in the order in which their leases end. A listing names the first ten.
    pub holders: Vec<Holder>,
    /// How many hold it.
    pub holder_count: u64,
    /// How many wait for it.
    pub waiters: u64,
}

/// So many holders of a name are named in a listing.
pub(crate) const HOLDERS_LISTED: usize = 10;

impl LockInfo {
    /// Of a name that one holds alone.
    pub(crate) fn exclusive(
        name: String,
        owner: String,
        expires_in: Option<Duration>,
        waiters: u64,
    ) -> Self {
        let holders = vec![Holder {
            owner: owner.clone(),
            expires_in,
        }];
        Self {
            name,
            mode: Mode::Exclusive,
            owner,
            expires_in,
            holders,
            holder_count: 1,
            waiters,
        }
    }

    /// Of a name that these share, the first of so many; `None` where there is none.
    pub(crate) fn shared(
        name: String,
        holders: Vec<Holder>,
        holder_count: u64,
        expires_in: Option<Duration>,
        waiters: u64,
    ) -> Option<Self> {
        let owner = holders.first()?.owner.clone();
        Some(Self {
            name,
            mode: Mode::Shared,
            owner,
            expires_in,
            holders,
            holder_count,
            waiters,
        })
    }
}
