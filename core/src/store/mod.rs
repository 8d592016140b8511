//! What a client needs of a store, and nothing of how a store does its work.
//!
//! A store speaks of owners: an owner is unique to one lease, so every operation may be repeated, and a repeat after
//! a lost reply finds its own first success.

pub(crate) mod embedded;
pub(crate) mod redis;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::claim::Claim;
use crate::clock::Moment;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, ErrorKind};
use crate::lock_info::LockInfo;
use crate::name::LockId;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One way to ask for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Take the name if it is free; nothing was asked for this owner before.
    Take,
    /// Take the name if it is free or already the owner's: the retry of a take whose reply was lost.
    Retake,
    /// Claim the name, take it, or queue for it.
    Queue(Queueing),
}

/// How to queue for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queueing {
    /// The place already held in the queue.
    pub(crate) place: Option<u64>,
    /// This is the first claim of a grant: it may cut what is left of the claim window down to a shorter TTL.
    pub(crate) may_cut: bool,
}

/// What came of asking for a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Acquired, for the full TTL, counted from before the command that set it was sent.
    Acquired {
        token: u64,
        sent: Moment,
        /// See [`Queued::lost_place`].
        lost_place: bool,
    },
    /// Someone else holds the name.
    Held(Queued),
}

impl Asked {
    /// Acquired by who named no place in the queue.
    pub(crate) fn acquired(token: u64, sent: Moment) -> Self {
        Self::Acquired {
            token,
            sent,
            lost_place: false,
        }
    }
}

/// Where a waiter stands. All zero for an owner that did not queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued {
    /// When the holder's time ends, if it has an end.
    pub(crate) expires_in: Option<Duration>,
    /// Arrival time in the queue; to be named when asking again.
    pub(crate) place: u64,
    /// Whether this waiter is the next.
    pub(crate) head: bool,
    /// Whether the holder is of another program, which tells nobody when it gives the lock back.
    pub(crate) is_holder_foreign: bool,
    /// How many wait, this one included.
    pub(crate) waiters: u64,
    /// The token counter at the time of the answer: a grant made later has a larger token.
    pub(crate) counted: u64,
    /// The place that was named was not in the queue any more; others may have lost theirs with it.
    pub(crate) lost_place: bool,
}

/// What came of a renewal or a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// The name was the owner's.
    Mine,
    /// The name is the owner's, and for longer than a renewal asked for: left so.
    MineForLonger,
    /// Nobody holds the name.
    Nobody,
    /// Someone else holds the name.
    Other,
}

impl Ownership {
    pub(crate) fn is_mine(self) -> bool {
        matches!(self, Self::Mine | Self::MineForLonger)
    }
}

/// Whom a release is for.
#[derive(Clone, Debug)]
pub(crate) enum Releaser {
    /// A lease or a waiter of this client: leaves the queue too.
    Own(Arc<Claim>),
    /// An owner of the lock named by hand, which need not be text: no queue entry is touched.
    ByHand(LockId, Arc<[u8]>),
}

impl Releaser {
    pub(crate) fn lock(&self) -> &LockId {
        match self {
            Self::Own(claim) => &claim.lock,
            Self::ByHand(lock, _) => lock,
        }
    }
}

/// One lease to extend.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) claim: Arc<Claim>,
    pub(crate) ttl: Duration,
    /// Where more is left than that it is cut down to it.
    pub(crate) may_shorten: bool,
}

/// News for waiters and holders.
#[derive(Debug)]
pub(crate) enum Event {
    /// The name was handed to this owner, who must claim it, or may begin the lease in `grant`.
    Granted {
        lock: LockId,
        owner: String,
        grant: Option<Grant>,
    },
    /// This owner is the next in line; the holder's time ends in `expires_in`.
    Next {
        owner: String,
        expires_in: Option<Duration>,
    },
    /// Someone else has changed the lock, or may have; where none is named, every lock.
    Touched { lock: Option<LockId> },
    /// News may have been lost: every waiter must ask again.
    Reset {
        /// What was sent before goes on to nobody: whatever is held is to be renewed, too.
        is_new: bool,
    },
}

/// A lease that a hand-over set in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: u64,
    /// How long the store keeps the lease, from the hand-over on.
    pub(crate) window: Duration,
}

/// Receives [`Event`]s; called from the store's own task, and must not block.
pub(crate) type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Runs a task of the client on its runtime. Where there is none any more, the task is dropped.
pub(crate) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// What a store needs of its client.
pub(crate) struct Host {
    pub(crate) listener: Listener,
    pub(crate) spawn: Spawn,
}

/// What came of renewals, in order.
pub(crate) type Renewals = Vec<Result<Ownership, Failure>>;

/// What came of many renewals.
#[derive(Default)]
pub(crate) struct Renewed {
    /// Of the first of them, in order.
    pub(crate) results: Renewals,
    /// Why there are no more, if there are fewer than were asked for.
    pub(crate) failed: Option<Failure>,
    /// What is known later of those that follow, if their answers come late.
    pub(crate) late: Option<BoxFuture<'static, Option<Renewals>>>,
}

/// What became of the command of a failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The command was not sent.
    Unsent,
    /// The command was answered with an error.
    Answered,
    /// The command may have been carried out, or may still be.
    Unanswered,
}

/// A failed operation.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    fate: Fate,
}

impl Failure {
    pub(crate) fn unsent(error: Error) -> Self {
        let fate = Fate::Unsent;
        Self { error, fate }
    }

    pub(crate) fn answered(error: Error) -> Self {
        let fate = Fate::Answered;
        Self { error, fate }
    }

    pub(crate) fn unanswered(error: Error) -> Self {
        let fate = Fate::Unanswered;
        Self { error, fate }
    }

    pub(crate) fn is_unsent(&self) -> bool {
        self.fate == Fate::Unsent
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        self.fate == Fate::Unanswered
    }

    /// Whether the store has no room now: in memory, or on its disk.
    pub(crate) fn is_of_room(&self) -> bool {
        self.error.is_of_room()
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.error.kind() == ErrorKind::StoreUnavailable
    }
}

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

/// A page of a listing: the locks found, and where to go on.
pub(crate) struct Page {
    pub(crate) locks: Vec<LockInfo>,
    pub(crate) next: Option<u64>,
}

/// Where locks are kept. Each method is one exchange with the store, and safe to repeat. A command whose
/// future is dropped may or may not be carried out, but nothing sent later for its owner overtakes it while
/// [`epoch`](Self::epoch) stays the same.
pub(crate) trait Store: Send + Sync {
    /// Asks for a name.
    fn ask<'a>(
        &'a self,
        claim: &'a Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>>;

    /// Gives a name back, or takes a waiter out of the queue.
    fn release(&self, releaser: Releaser) -> BoxFuture<'_, Result<Ownership, Failure>>;

    /// Extends many leases at once, waiting for the answers up to `limit`. Each has a result of its own; the outer failure
    /// is one of them all.
    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        limit: Duration,
    ) -> BoxFuture<'a, Result<Renewed, Failure>>;

    /// Who holds a name, as the store has it.
    fn holder<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<Arc<[u8]>>, Failure>> {
        Box::pin(async {
            let found = self.inspect(lock).await?;
            Ok(found.map(|found| found.owner.into_bytes().into()))
        })
    }

    /// Looks at one name.
    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>>;

    /// A page of the names of `app_id` that match `pattern`.
    fn list<'a>(
        &'a self,
        app_id: &'a Arc<str>,
        pattern: &'a str,
        cursor: u64,
    ) -> BoxFuture<'a, Result<Page, Failure>>;

    /// Makes sure that events arrive from now on; before a waiter queues, and after a [`Event::Reset`].
    fn listen(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Whether a command may still be carried out after later ones of its owner, so that a waiter who has left is granted a
    /// name.
    fn may_be_late(&self) -> bool {
        true
    }

    /// A lease on the name was left to its TTL: whoever waits for it is to have it before this client takes it again.
    fn left_behind(&self, _lock: &LockId) {}

    /// The number of the connection that commands go by; before the first connection is made, the number of that one.
    /// Commands sent under different numbers may overtake each other.
    fn epoch(&self) -> u64;

    /// How often a connection was lost and made again.
    fn reconnects(&self) -> u64;

    /// The twin of [`ask`](Self::ask) with [`Ask::Take`] where nothing has to be made first; it ends by itself, needing no
    /// timer of its caller's. `None`: use `ask`.
    fn take_at_once(
        &self,
        _claim: &Arc<Claim>,
        _ttl: Duration,
    ) -> Option<BoxFuture<'static, Result<Asked, Failure>>> {
        None
    }

    /// The twin of [`ask`](Self::ask) with [`Ask::Take`] for a caller who may block: in the caller's thread, if it can be
    /// done at once. `None`: use `ask`. It answers within `limit`, or else within the store's patience, and calls
    /// `interrupted` at least every 50 ms.
    fn take_blocking(
        &self,
        _claim: &Arc<Claim>,
        _ttl: Duration,
        _limit: Option<Duration>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        None
    }

    /// The twin of [`release`](Self::release) with [`Releaser::Own`] for a caller who may block, under the rules of
    /// [`take_blocking`](Self::take_blocking).
    fn release_blocking(
        &self,
        _claim: &Arc<Claim>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        None
    }

    /// The twin of [`release`](Self::release) with [`Releaser::Own`] for a caller after whom perhaps nothing runs any more: the
    /// store has the command when this returns, if that takes but a moment.
    fn release_at_once(&self, _claim: &Arc<Claim>) -> AtOnce {
        AtOnce::Unsent
    }

    /// Whether there can be connections for callers who block, and for event loops.
    fn has_own_connections(&self) -> bool {
        false
    }

    /// Opens one more connection for callers who block, if there are too few. A failure is no news, since the next call that
    /// uses the shared connection tells it better.
    fn open_blocking(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// One more connection, for an event loop to drive; `None` where there can be none.
    fn open_line(&self) -> BoxFuture<'_, Option<Result<Box<dyn LineStore>, Failure>>> {
        Box::pin(async { None })
    }

    /// What the store shows of itself, for whoever asks whether it can keep the promises. Changes nothing.
    fn diagnose<'a>(&'a self, app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>>;

    /// For messages: where the store is, without credentials.
    fn address(&self) -> String;

    /// Ends every connection.
    fn close(&self);
}

/// What a connection on an event loop has finished.
pub(crate) enum LineDone {
    Asked(Result<Asked, Failure>),
    Released(Result<Ownership, Failure>),
}

/// A connection that never blocks: whoever owns it says when it can be read and written. Everything goes in the order in
/// which it was begun. Dropped, it is closed.
pub(crate) trait LineStore: Send {
    /// Begins to ask for a name with [`Ask::Take`], for the operation `id`; an answer is expected within `limit`, or else
    /// within the store's patience.
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

    /// A file descriptor that can be read and written when the connection can.
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

/// The store at `url`; nothing is connected yet.
pub(crate) fn open(
    url: &str,
    client_id: Arc<str>,
    timeout: Duration,
    host: Host,
) -> crate::error::Result<Box<dyn Store>> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => {
            let store = redis::RedisStore::new(url, client_id, timeout, host)?;
            Ok(Box::new(store))
        }
        "file" | "memory" => {
            let store = embedded::EmbeddedStore::new(url, client_id, timeout, host.listener)?;
            Ok(Box::new(store))
        }
        _ => Err(Error::invalid(
            "the URL has no scheme that is known here; use redis://host:port, rediss:// for TLS, unix:/path, \
             file:path.db for the processes of one machine, or memory:NAME for one process",
        )),
    }
}
