//! What a store can do in its caller's own thread, or on an event loop, with no hop to the client's runtime: the first take
//! of a lease, and the release of one.

use std::sync::Arc;
use std::time::Duration;

use super::{Asked, BoxFuture, Failure, Ownership};
use crate::claim::Claim;
use crate::clock::Moment;
use crate::name::LockId;
use crate::platform::BorrowedDescriptor;

/// What became of a release whose caller may be the last to run in the process.
pub(crate) enum AtOnce {
    /// Nothing was sent.
    Unsent,
    /// The store has it, and nobody reads the answer: it is to be sent again to be sure.
    Sent,
    /// The store has it; its answer.
    Begun(BoxFuture<'static, Result<Ownership, Failure>>),
}

impl AtOnce {
    /// The first of a release's attempts, and whether an attempt before it may have been carried out.
    pub(crate) fn attempt(self) -> (Option<BoxFuture<'static, Result<Ownership, Failure>>>, bool) {
        match self {
            Self::Unsent => (None, false),
            Self::Sent => (None, true),
            Self::Begun(answer) => (Some(answer), false),
        }
    }
}

/// The short ways to a store. What cannot go by them goes by the [`Store`](super::Store) itself, which can do all that they
/// can: its `ask` for a take, its `release` for an own claim.
pub(crate) trait Quick: Send + Sync {
    /// Takes a name where nothing has to be made first; it ends by itself, needing no timer of its caller's. `None`: use `ask`.
    fn take_at_once(
        &self,
        _claim: &Arc<Claim>,
        _ttl: Duration,
    ) -> Option<BoxFuture<'static, Result<Asked, Failure>>> {
        None
    }

    /// Takes a name for a caller who may block: in the caller's thread, if it can be done at once. `None`: use `ask`. It
    /// answers within `limit`, or else within the store's patience, and calls `interrupted` at least every 50 ms.
    fn take_blocking(
        &self,
        _claim: &Arc<Claim>,
        _ttl: Duration,
        _limit: Option<Duration>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        None
    }

    /// Releases an own claim for a caller who may block, under the rules of [`take_blocking`](Self::take_blocking).
    fn release_blocking(
        &self,
        _claim: &Arc<Claim>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        None
    }

    /// Releases an own claim for a caller after whom perhaps nothing runs any more: the store has the command when this
    /// returns, if that takes but a moment.
    fn release_at_once(&self, _claim: &Arc<Claim>) -> AtOnce {
        AtOnce::Unsent
    }

    /// Whether there can be connections for callers who block, and for event loops.
    fn has_own_connections(&self) -> bool {
        false
    }

    /// Opens one more connection for callers who block, to where the lock is, if there are too few. A failure is no news, since the next call that
    /// uses the shared connection tells it better.
    fn open_blocking(&self, _lock: LockId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// One more connection, for an event loop to drive; `None` where there can be none.
    fn open_line(&self) -> BoxFuture<'_, Option<Result<Box<dyn LineStore>, Failure>>> {
        Box::pin(async { None })
    }
}

/// What a connection on an event loop has finished.
pub(crate) enum LineDone {
    Asked(Result<Asked, Failure>),
    Released(Result<Ownership, Failure>),
}

/// A connection that never blocks: whoever owns it says when it can be read and written. Everything goes in the order in
/// which it was begun. Dropped, it is closed.
pub(crate) trait LineStore: Send {
    /// Begins to take a name, for the operation `id`; an answer is expected within `limit`, or else within the store's
    /// patience.
    fn take(&mut self, id: u64, claim: &Arc<Claim>, ttl: Duration, limit: Option<Duration>);

    /// Begins to release an own owner, for the operation `id`.
    fn release(&mut self, id: u64, claim: &Arc<Claim>);

    /// Whether something is left to write.
    fn is_unwritten(&self) -> bool;

    /// Writes what can be written now; whether all is. A failure shows in [`read`](Self::read), which is then due at once.
    fn flush(&mut self) -> bool;

    /// Reads what is there, and says what has finished. After a failure the connection is of no more use, and what was
    /// under way stays unanswered.
    fn read(&mut self, done: &mut Vec<(u64, LineDone)>) -> Result<(), Failure>;

    /// When to [look for silence](Self::look_for_silence) next.
    fn next_timeout(&self) -> Option<Moment>;

    /// Ends what has had no answer for its limit, as unanswered. A failure is as in [`read`](Self::read).
    fn look_for_silence(&mut self, done: &mut Vec<(u64, LineDone)>) -> Result<(), Failure>;

    /// A file descriptor, or on Windows a socket, that can be read and written when the connection can.
    fn descriptor(&self) -> BorrowedDescriptor<'_>;
}
