//! What happens to a client's locks, for metrics and traces: events for who observes it, and spans of `tracing`.
//!
//! Both cost next to nothing where nobody asked for them. Unlike what is logged, which is for people and rare, every acquire
//! and every lease is told of.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::Span;
use tracing::field::{Empty, display};

use crate::claim::Claim;
use crate::clock::Moment;
use crate::error::{ErrorKind, LossReason};
use crate::holding::Holding;
use crate::shared::ClientCore;

/// Who is told what happens to the locks of a client; see [`ClientBuilder::observer`](crate::ClientBuilder::observer).
///
/// A function that takes a [`LockEvent`] is one.
pub trait Observer: Send + Sync {
    /// Called for each event, wherever it happens: also in the thread of a caller, in the middle of an acquire. It must not block, nor
    /// panic.
    fn on_event(&self, event: LockEvent);

    /// Whether anybody listens now. Where it says no, no event is made.
    fn is_listening(&self) -> bool {
        true
    }
}

impl<F: Fn(LockEvent) + Send + Sync> Observer for F {
    fn on_event(&self, event: LockEvent) {
        self(event);
    }
}

/// Something that happened to a lock. Each acquire ends in one of [`Acquired`](LockEventKind::Acquired),
/// [`TimedOut`](LockEventKind::TimedOut), [`Busy`](LockEventKind::Busy), [`Cancelled`](LockEventKind::Cancelled) and
/// [`Failed`](LockEventKind::Failed), and each lease in one of [`Released`](LockEventKind::Released),
/// [`Detached`](LockEventKind::Detached) and [`Lost`](LockEventKind::Lost).
#[derive(Clone)]
pub struct LockEvent {
    kind: LockEventKind,
    at: SystemTime,
    client: Arc<str>,
    claim: Arc<Claim>,
    context: Option<Context>,
}

/// What it was that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEventKind {
    /// An acquire begins to wait in line.
    Queued,
    /// A lock was acquired.
    Acquired {
        /// The fencing token.
        token: u64,
        /// How long the acquire took.
        waited: Duration,
        /// Whether it met a lock that was held by someone else.
        contended: bool,
    },
    /// The wait of an acquire ran out.
    TimedOut {
        /// How long the acquire took.
        waited: Duration,
    },
    /// An acquire that tries once met a lock that was held by someone else.
    Busy {
        /// How long the acquire took.
        waited: Duration,
    },
    /// An acquire was given up by its caller, or met a client that closes.
    Cancelled {
        /// How long it was under way.
        waited: Duration,
    },
    /// An acquire failed.
    Failed {
        /// How long the acquire took.
        waited: Duration,
        /// The kind of its error.
        error: ErrorKind,
    },
    /// A lease was renewed, or extended.
    Renewed {
        /// The lease's fencing token.
        token: u64,
    },
    /// A renewal or an extension failed, and the lease may be lost for all that is known; it is tried again until its deadline.
    Unsure {
        /// The lease's fencing token.
        token: u64,
    },
    /// A lease was given back by its holder.
    Released {
        /// The lease's fencing token.
        token: u64,
        /// How long it was held.
        held: Duration,
    },
    /// A lease was left to its TTL: by its holder, or since the store could not be told that it was given back.
    Detached {
        /// The lease's fencing token.
        token: u64,
        /// How long it was held.
        held: Duration,
    },
    /// A lease was lost.
    Lost {
        /// The lease's fencing token.
        token: u64,
        /// How long it was held.
        held: Duration,
        /// Why.
        reason: LossReason,
    },
}

impl LockEventKind {
    /// Its name in every language: `acquired`, `timed_out` and so on.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Acquired { .. } => "acquired",
            Self::TimedOut { .. } => "timed_out",
            Self::Busy { .. } => "busy",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
            Self::Renewed { .. } => "renewed",
            Self::Unsure { .. } => "unsure",
            Self::Released { .. } => "released",
            Self::Detached { .. } => "detached",
            Self::Lost { .. } => "lost",
        }
    }

    /// The lease's fencing token; of an acquire that came to nothing, none.
    #[must_use]
    pub const fn token(&self) -> Option<u64> {
        match self {
            Self::Acquired { token, .. }
            | Self::Renewed { token }
            | Self::Unsure { token }
            | Self::Released { token, .. }
            | Self::Detached { token, .. }
            | Self::Lost { token, .. } => Some(*token),
            _ => None,
        }
    }

    /// How long the acquire took, where this is its end.
    #[must_use]
    pub const fn waited(&self) -> Option<Duration> {
        match self {
            Self::Acquired { waited, .. }
            | Self::TimedOut { waited }
            | Self::Busy { waited }
            | Self::Cancelled { waited }
            | Self::Failed { waited, .. } => Some(*waited),
            _ => None,
        }
    }

    /// Whether an acquire that got its lock met one that was held by someone else; of all else, nothing.
    #[must_use]
    pub const fn contended(&self) -> Option<bool> {
        match self {
            Self::Acquired { contended, .. } => Some(*contended),
            _ => None,
        }
    }

    /// Why a lease was lost, if it was.
    #[must_use]
    pub const fn reason(&self) -> Option<LossReason> {
        match self {
            Self::Lost { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The kind of the error of an acquire that failed.
    #[must_use]
    pub const fn error(&self) -> Option<ErrorKind> {
        match self {
            Self::Failed { error, .. } => Some(*error),
            _ => None,
        }
    }

    /// How long the lease was held, where this is its end.
    #[must_use]
    pub const fn held(&self) -> Option<Duration> {
        match self {
            Self::Released { held, .. } | Self::Detached { held, .. } | Self::Lost { held, .. } => {
                Some(*held)
            }
            _ => None,
        }
    }
}

impl LockEvent {
    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &LockEventKind {
        &self.kind
    }

    /// When it happened, by the wall clock.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// The id of the client it happened to.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The app id of that client; empty for none.
    #[must_use]
    pub fn app_id(&self) -> &str {
        self.claim.lock.app_id()
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.claim.lock.name()
    }

    /// The owner string of the acquire and of its lease, by which all events of both belong together.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.claim.owner
    }

    /// What was given to [`Request::in_context`](crate::Request::in_context).
    #[doc(hidden)]
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// The same, which is let go of.
    #[doc(hidden)]
    pub fn take_context(&mut self) -> Option<Context> {
        self.context.take()
    }
}

impl fmt::Debug for LockEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockEvent")
            .field("kind", &self.kind)
            .field("at", &self.at)
            .field("client", &self.client())
            .field("app_id", &self.app_id())
            .field("name", &self.name())
            .field("owner", &self.owner())
            .finish_non_exhaustive()
    }
}

/// Whatever a face wants back with each event of an acquire and of its lease.
pub type Context = Arc<dyn Any + Send + Sync>;

impl ClientCore {
    /// Tells who observes the client, if anybody does.
    pub(crate) fn tell(
        &self,
        claim: &Arc<Claim>,
        context: Option<&Context>,
        kind: impl FnOnce() -> LockEventKind,
    ) {
        if let Some(observer) = &self.observer
            && observer.is_listening()
        {
            observer.on_event(LockEvent {
                kind: kind(),
                at: SystemTime::now(),
                client: self.client_id.clone(),
                claim: claim.clone(),
                context: context.cloned(),
            });
        }
    }

    /// Tells of the end of a lease, once.
    pub(crate) fn tell_end(
        &self,
        holding: &Holding,
        kind: impl FnOnce(u64, Duration) -> LockEventKind,
    ) {
        let Some(span) = holding.take_span() else {
            return;
        };
        let kind = || kind(holding.token, Moment::now().since(holding.since));
        self.tell_and_record(&span, &holding.claim, holding.context.as_ref(), kind);
    }

    /// Tells of an end, and notes it in the span of what has ended.
    pub(crate) fn tell_and_record(
        &self,
        span: &Span,
        claim: &Arc<Claim>,
        context: Option<&Context>,
        kind: impl FnOnce() -> LockEventKind,
    ) {
        if span.is_disabled() {
            self.tell(claim, context, kind);
        } else {
            let kind = kind();
            record(span, &kind);
            self.tell(claim, context, || kind);
        }
    }

    /// The span of an acquire, which ends when it is dropped.
    pub(crate) fn acquire_span(&self, claim: &Claim) -> Span {
        tracing::info_span!(
            target: "leaselock", "acquire",
            client = %self.client_id, app_id = %self.app_id, name = %claim.lock.name(), owner = %claim.owner,
            outcome = Empty, contended = Empty, token = Empty, error = Empty,
        )
    }

    /// The span of a lease.
    pub(crate) fn lease_span(&self, claim: &Claim, token: u64) -> Span {
        tracing::info_span!(
            target: "leaselock", "lease",
            client = %self.client_id, app_id = %self.app_id, name = %claim.lock.name(), owner = %claim.owner, token,
            outcome = Empty, reason = Empty,
        )
    }
}

/// Notes in a span how what it stands for has ended.
fn record(span: &Span, kind: &LockEventKind) {
    span.record("outcome", kind.as_str());
    match kind {
        LockEventKind::Acquired {
            token, contended, ..
        } => {
            span.record("token", token);
            span.record("contended", contended);
        }
        LockEventKind::Failed { error, .. } => {
            span.record("error", error.code());
        }
        LockEventKind::Lost { reason, .. } => {
            span.record("reason", display(reason.as_str()));
        }
        _ => {}
    }
}
