//! What is checked: how many clients do what, which faults may happen how often, and which bug is seeded.

use crate::wire::Owner;

/// A limit: one holder, and no other beside it.
pub const EXCLUSIVE: u8 = 1;
/// A limit: as many as there are, but no exclusive one.
pub const SHARED: u8 = 0;

/// One run of the checker. The defaults are two clients with one waiting acquire each, and no faults.
// Independent switches.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Config {
    /// Tasks in each client.
    pub clients: Vec<usize>,
    /// What each task of each client asks for: [`EXCLUSIVE`], [`SHARED`], or how many may hold the name while it does. Empty: all
    /// exclusive. Clients with the same limits begin in order, and so do the tasks of a client.
    pub limits: Vec<Vec<u8>>,
    /// Acquires that each task may begin.
    pub attempts: u8,
    /// Acquires may wait in the queue.
    pub waits: bool,
    /// Acquires may try once (`wait = 0`).
    pub tries: bool,
    /// Every connection was in use within the last second: the first acquire may be a take.
    pub warm: bool,
    /// Holders may renew.
    pub renews: bool,
    /// A message may stay in the network for a tick; without it, it arrives within the tick in which it was sent.
    pub slow: bool,
    /// The TTL of a lease, in ticks.
    pub ttl: u8,
    /// The claim window, in ticks.
    pub window: u8,
    /// The fallback interval, in ticks: a waiter that watches looks no later than this.
    pub check: u8,
    /// A client tells all its waiters to ask again no sooner than so many ticks after the last time. That is one second, and
    /// a tick is one or two.
    pub again: u8,
    /// A client's waiters are back together within so many ticks.
    pub together: u8,
    /// How often waiters are told to ask again at all; `None`: that is not counted.
    pub asks_again: Option<u8>,
    /// A free lock with a live waiter is taken within this many ticks.
    pub patience: u8,
    /// Dead waiters that one script passes over, at most.
    pub pops: u8,
    /// What may happen, and how often.
    pub faults: Faults,
    /// The bug to find.
    pub bug: Option<Bug>,
}

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// An acquire is cancelled, or its wait runs out.
    pub cancels: u8,
    /// A client gives up a silent connection: the server still has it, and what was sent may still arrive.
    pub drops: u8,
    /// The server closes a connection: the client learns of it later.
    pub closes: u8,
    /// A client is stopped; its clock goes on and its messages wait.
    pub pauses: u8,
    /// A client is killed.
    pub kills: u8,
    /// An inbox message is lost.
    pub losses: u8,
    /// The lock is released by force: by whoever holds it at a look. The release may be sent twice.
    pub forces: u8,
    /// Another application takes the lock; it releases without telling anyone, or lets it run out.
    pub strangers: u8,
    /// `FLUSHALL`: the data is gone, connections stay.
    pub flushes: u8,
    /// The server restarts empty.
    pub restarts: u8,
    /// A replica takes over that had not heard of the last writes.
    pub failovers: u8,
    /// The queue alone is gone.
    pub queues: u8,
    /// The lock alone is gone: evicted, or deleted by hand.
    pub locks: u8,
    /// The holders of a shared lock alone are gone.
    pub holders: u8,
    /// A lease is extended, to one tick less or more than the TTL.
    pub extends: u8,
    /// A waiter is not polled any more.
    pub stalls: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clients: vec![1, 1],
            limits: Vec::new(),
            attempts: 1,
            waits: true,
            tries: false,
            warm: false,
            renews: false,
            slow: true,
            ttl: 2,
            window: 1,
            check: 2,
            again: 1,
            together: 2,
            asks_again: None,
            patience: 3,
            pops: u8::MAX,
            faults: Faults::default(),
            bug: None,
        }
    }
}

impl Config {
    /// Whether a grant can still begin a lease that counts from a wait sent `age` ticks ago.
    pub(crate) fn is_recent(&self, age: u8) -> bool {
        2 * age <= self.window && self.window <= self.ttl
    }

    /// What an owner asks for.
    pub(crate) fn limit(&self, owner: Owner) -> u8 {
        let client = self.limits.get(owner.client());
        let limit = client.and_then(|tasks| tasks.get(owner.task()));
        limit.copied().unwrap_or(EXCLUSIVE)
    }

    /// Whether two clients ask for the same.
    pub(crate) fn are_alike(&self, one: usize, other: usize) -> bool {
        self.limits.get(one) == self.limits.get(other)
    }

    /// Of the waiters of each client, all but one.
    pub(crate) fn others(&self) -> u8 {
        let others = self.clients.iter().map(|tasks| tasks - 1).sum::<usize>();
        u8::try_from(others).expect("few")
    }

    /// Whether this bug is seeded.
    #[must_use]
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether one of these bugs is.
    pub(crate) fn has_any(&self, bugs: &[Bug]) -> bool {
        self.bug.is_some_and(|bug| bugs.contains(&bug))
    }
}

/// A bug to seed. Each breaks one rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A grant begins a lease however long ago its waiter asked, and that counts from when the grant is read.
    GrantIsLease,
    /// A grant that was read before the answer to a wait begins a lease that counts from that wait.
    GrantOvertaken,
    /// A claim uses the token that came with the grant, instead of the one that its answer brings.
    TokenFromGrant,
    /// `SET` and `INCR` are two commands, so that a forced release fits between them.
    CountApart,
    /// The deadline counts from the answer instead of from the sending.
    DeadlineFromAnswer,
    /// A grant sends a claim at once, also while another wait is unanswered; the first answer is believed.
    TwoWaits,
    /// Cancelling removes the queue entry and nothing else.
    CancelOnlyLeaves,
    /// A claim leaves the claim window's expiry as it is.
    ClaimKeepsExpiry,
    /// `wait` counts without lifting the counter to the clock.
    NoSeed,
    /// A take goes out on a connection on which no wait was answered.
    TakeUnseeded,
    /// A count too low to be seeded is used as a token.
    LowCountIsToken,
    /// Undoing is not repeated after a broken connection.
    UndoOnce,
    /// A try that meets a holder forgets that an earlier command of its own is still unanswered.
    TryForgets,
    /// A renewal sets the lock anew when it is gone.
    RenewRecreates,
    /// A renewal that is answered after the deadline revives a lease that nobody has looked at meanwhile.
    RenewalRevives,
    /// The lease's clock stands still while the client is stopped.
    ClockStops,
    /// A shorter extension left on a broken connection is forgotten.
    ExtendForgets,
    /// A renewal sets the TTL also where the server has more.
    RenewalShortens,
    /// A wait of the holder does.
    ClaimShortens,
    /// A claim that may cut the claim window was left on a broken connection, and is forgotten.
    ClaimUncapped,
    /// A holder that is told that its lease is gone takes it for a failed renewal.
    DeposedGoesOn,
    /// A release by force ends whatever lease there is when it arrives.
    ForceAnyone,
    /// After a lost connection leases are renewed when that is due.
    RenewedWhenDue,
    /// Of a client's waiters only the first looks, next in line or not.
    FirstWatches,
    /// A client whose waiter has lost its place tells no other.
    QueueForgotten,
    /// It tells all others each time that one of them is told so.
    AllTellAll,
    /// It tells also the one that has just asked.
    AskerToldToo,
    /// Nobody drops waiters whose processes are gone while the name is held.
    DeadStay,
    /// A script that has passed over enough dead waiters leaves the name free.
    FreeInBetween,
    /// Waiters do not look by themselves.
    NoFallback,
    /// The next in line is not told that it is, nor what to watch.
    NextNotTold,
    /// A claim does not tell the next in line of a lease that is shorter than the claim window it watches.
    ShortClaimNotTold,
    /// After a lost connection waiters sleep on, without subscribing again and asking.
    NoRecheck,
    /// Of a client's waiters only the first looks, and one that was told that it is the next in line.
    OthersSleep,
    /// A reader is admitted beside readers, whoever waits.
    ReaderOvertakes,
    /// A renewal extends its place among the holders, and not the lock.
    MarkerNotRenewed,
    /// An admission gives the lock its own time, also where another holder has more.
    MarkerShortened,
    /// The lock is left with its time when the holder that had the most is gone.
    MarkerOutlives,
    /// Holders whose time has ended are counted.
    DeadPermitStays,
    /// A hand-over admits all the permits that wait.
    BatchBreaksLimit,
    /// A forced release deletes the lock, and not its holders.
    HoldersSurviveForce,
    /// Who shares a name that is free adds to whatever holders there were.
    OldHoldersStay,
    /// Those behind the head that has left are admitted at the next look.
    HeadLeavesQuietly,
    /// Those behind one that was dropped as dead are not, nor told.
    PrunedQuietly,
    /// A hand-over ends with the one that asked.
    RunEndsAtAsker,
    /// The head does not hear that it has less to watch than it was told.
    EarlierEndNotTold,
    /// The head always watches the latest end.
    PermitWatchesLatest,
    /// A renewal adds its holder again.
    RenewalReenters,
    /// A script that has admitted as many as it may tells nobody that there are more.
    RestNotTold,
}
