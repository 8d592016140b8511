//! The clock of deadlines: monotonic, and counting the time the machine was suspended.

use std::time::Duration;

use crate::environment;

/// A point in time since boot. Wall-clock jumps do not move it; a suspend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// The current moment.
    #[inline]
    pub(crate) fn now() -> Self {
        Self(environment::since_boot())
    }

    /// Time from `earlier` to `self`, zero if it is not earlier.
    #[inline]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that is `duration` before `self`.
    #[inline]
    pub(crate) fn earlier(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }

    /// Time from now to `self`, zero if it is past.
    #[inline]
    pub(crate) fn remaining(self) -> Duration {
        self.since(Self::now())
    }

    /// The moment so many milliseconds after boot.
    pub(crate) fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Milliseconds since boot.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether `self` has come.
    #[inline]
    pub(crate) fn is_past(self) -> bool {
        Self::now() >= self
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

/// What a lease's local deadline ends before the server's: 1 % of the TTL for clocks that run at
/// different rates, and 2 ms for the server's own granularity of expiry.
pub(crate) fn drift(ttl: Duration) -> Duration {
    ttl / 100 + Duration::from_millis(2)
}
