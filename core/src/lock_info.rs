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

/// Who holds a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockInfo {
    /// The lock's name.
    pub name: String,
    /// The holder's owner string.
    pub owner: String,
    /// Time until the holder's lease ends; `None` when it has no end, which only a foreign holder's can be.
    pub expires_in: Option<Duration>,
    /// How many wait for it.
    pub waiters: u64,
}
