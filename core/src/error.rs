//! The one error type, its kinds, and the table of their names in every language.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of every call of this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is out of its range; nothing was sent.
    InvalidArgument,
    /// The wait ran out while someone else held the name.
    LockTimeout,
    /// The lease is over although it was not released by its holder.
    LeaseLost,
    /// The store could not be reached, did not answer in time, or said to come back later.
    StoreUnavailable,
    /// The store answered that it will not do it: authentication, permissions, memory, a wrong type.
    StoreRefused,
    /// The client was closed.
    ClientClosed,
    /// A blocking call was told to stop by its client's interrupt hook.
    #[doc(hidden)]
    Interrupted,
}

impl ErrorKind {
    /// Every kind a user can meet.
    pub const ALL: &'static [Self] = &[
        Self::InvalidArgument,
        Self::LockTimeout,
        Self::LeaseLost,
        Self::StoreUnavailable,
        Self::StoreRefused,
        Self::ClientClosed,
    ];

    const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidArgument => ("InvalidArgumentError", "INVALID_ARGUMENT"),
            Self::LockTimeout => ("LockTimeoutError", "LOCK_TIMEOUT"),
            Self::LeaseLost => ("LeaseLostError", "LEASE_LOST"),
            Self::StoreUnavailable => ("StoreUnavailableError", "STORE_UNAVAILABLE"),
            Self::StoreRefused => ("StoreRefusedError", "STORE_REFUSED"),
            Self::ClientClosed => ("ClientClosedError", "CLIENT_CLOSED"),
            Self::Interrupted => ("LeaselockError", "INTERRUPTED"),
        }
    }

    /// The name of the class in Python and Node, such as `LockTimeoutError`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.table().0
    }

    /// The code of the error in every language, such as `LOCK_TIMEOUT`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.table().1
    }
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// The lease's time ran out without a renewal.
    Expired,
    /// The store says that someone else holds the name.
    Taken,
    /// `max_hold` was reached.
    MaxHold,
    /// Somebody else released the lease, or the store lost it.
    Released,
}

impl LossReason {
    /// The reason's name in every language: `expired`, `taken`, `max_hold` or `released`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::MaxHold => "max_hold",
            Self::Released => "released",
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any failure of leaselock: a [kind](ErrorKind) and a message for people.
#[derive(Clone)]
pub struct Error(Box<Details>);

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    message: String,
    reason: Option<LossReason>,
    /// See [`Error::is_of_room`].
    of_room: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            reason: None,
            of_room: false,
            source: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreUnavailable, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(
            ErrorKind::ClientClosed,
            "the client is closed; make a new Client to take locks again",
        )
    }

    pub(crate) fn inherited() -> Self {
        Self::unavailable(
            "this client was made before the process was forked; make a new Client in the child",
        )
    }

    pub(crate) fn lost(name: &str, reason: LossReason) -> Self {
        let why = match reason {
            LossReason::Expired => "its time ran out before it could be renewed",
            LossReason::Taken => "the store says that someone else holds it now",
            LossReason::MaxHold => "it was held for as long as max_hold allows",
            LossReason::Released => "it was released by someone else, or the store lost it",
        };
        let mut error = Self::new(
            ErrorKind::LeaseLost,
            format!("the lease on {name:?} is lost ({reason}): {why}"),
        );
        error.0.reason = Some(reason);
        error
    }

    /// The error of an acquire with a wait of zero that met a held lock.
    pub(crate) fn timed_out(name: &str, waited: Duration) -> Self {
        Self::new(
            ErrorKind::LockTimeout,
            format!(
                "the lock {name:?} was still held by someone else after waiting {:.3} s; \
                 wait longer, or see who holds it with inspect",
                waited.as_secs_f64()
            ),
        )
    }

    pub(crate) fn held(name: &str) -> Self {
        Self::new(
            ErrorKind::LockTimeout,
            format!("the lock {name:?} is held by someone else, and the wait is zero"),
        )
    }

    /// The error of using a lease after its holder released it.
    pub(crate) fn released(name: &str) -> Self {
        let mut error = Self::new(
            ErrorKind::LeaseLost,
            format!("the lease on {name:?} is over: it was released; acquire the lock again"),
        );
        error.0.reason = Some(LossReason::Released);
        error
    }

    pub(crate) fn with_source(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same for a cause whose type is not known here.
    pub(crate) fn with_cause(mut self, cause: Box<dyn std::error::Error + Send + Sync>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// The same, with what to do about it.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.0.message.push_str("; ");
        self.0.message.push_str(advice);
        self
    }

    /// The same, of a store that has no room.
    pub(crate) fn for_want_of_room(mut self) -> Self {
        self.0.of_room = true;
        self
    }

    /// Whether the store has no room, in memory or on its disk, to do what was asked; that passes.
    pub(crate) fn is_of_room(&self) -> bool {
        self.0.of_room
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was wrong, what was expected, what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Why the lease was lost, when the kind is [`ErrorKind::LeaseLost`].
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.0.reason
    }

    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::StoreUnavailable | ErrorKind::LockTimeout
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
