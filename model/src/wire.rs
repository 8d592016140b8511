//! What goes over the wire: owners, commands, answers and inbox messages, and the queues that carry them.

use arrayvec::ArrayVec;

/// Tasks in one client, and acquires of one task, at most.
pub(crate) const TASKS: usize = 3;
/// See [`TASKS`].
pub(crate) const ATTEMPTS: u8 = 3;

/// The owner string of one acquire: unique to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner(u8);

impl Owner {
    /// Another application, which speaks Dapr's protocol only.
    pub(crate) const FOREIGN: Self = Self(31);
    /// Nobody: the name is being handed over, past more dead waiters than one script passes over.
    pub(crate) const HANDING: Self = Self(30);
    /// The marker `||shared`: those who hold it are in H.
    pub(crate) const SHARED: Self = Self(29);

    /// The owner of a task's acquire number `attempt`.
    pub(crate) fn new(client: usize, task: usize, attempt: u8) -> Self {
        let number = (client * TASKS + task) * usize::from(ATTEMPTS) + usize::from(attempt);
        Self(u8::try_from(number).expect("few clients"))
    }

    /// The client it belongs to.
    pub(crate) fn client(self) -> usize {
        usize::from(self.0 / ATTEMPTS) / TASKS
    }

    /// The task of that client.
    pub(crate) fn task(self) -> usize {
        usize::from(self.0 / ATTEMPTS) % TASKS
    }
}

/// A set of owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owners(u32);

impl Owners {
    /// Adds an owner.
    pub(crate) fn insert(&mut self, owner: Owner) {
        self.0 |= 1 << owner.0;
    }

    /// Takes an owner out.
    pub(crate) fn remove(&mut self, owner: Owner) {
        self.0 &= !(1 << owner.0);
    }

    /// Adds all of `others`.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Those that are not in `others`.
    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// One by one.
    pub(crate) fn iter(self) -> impl Iterator<Item = Owner> {
        (0..32)
            .map(Owner)
            .filter(move |owner| self.contains(*owner))
    }

    /// Whether `owner` is in it.
    pub(crate) fn contains(self, owner: Owner) -> bool {
        self.0 & (1 << owner.0) != 0
    }

    /// Keeps the owners that `keep` says yes to.
    pub(crate) fn retain(&mut self, keep: impl Fn(Owner) -> bool) {
        for number in 0..32 {
            if self.contains(Owner(number)) && !keep(Owner(number)) {
                self.remove(Owner(number));
            }
        }
    }
}

impl FromIterator<Owner> for Owners {
    fn from_iter<T: IntoIterator<Item = Owner>>(owners: T) -> Self {
        let mut all = Self::default();
        for owner in owners {
            all.insert(owner);
        }
        all
    }
}

/// A client's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Command {
    /// For whom.
    pub(crate) owner: Owner,
    /// What.
    pub(crate) kind: Kind,
    /// Someone waits for the answer.
    pub(crate) awaited: bool,
}

/// Whether a renewal counts as failed. Its answer counts all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Late {
    /// Not yet.
    No,
    /// It does, as the last one.
    Last,
    /// And so does a later one: of this one only a "no" counts.
    Old,
}

impl Late {
    /// The renewal, or one after it, counts as failed.
    pub(crate) fn fail(&mut self) {
        *self = match self {
            Self::No => Self::Last,
            Self::Last | Self::Old => Self::Old,
        };
    }
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `MULTI; SET NX PX; INCR; EXEC`.
    Take,
    /// wait.lua.
    Wait {
        /// Queue if it is held.
        queue: bool,
        /// The earlier place in the queue is named.
        placed: bool,
        /// It may cut the claim window down to a shorter TTL.
        cuts: bool,
    },
    /// renew.lua.
    Renew {
        /// In ticks.
        ttl: u8,
        /// It may cut more than that down to it.
        cuts: bool,
        /// Whether it counts as failed.
        late: Late,
    },
    /// release.lua, for an own owner.
    Release,
    /// Seeded bug: the first half of a take that is not atomic.
    Set,
    /// Seeded bug: the second half.
    Count,
    /// Seeded bug: only the queue entry is removed.
    Leave,
}

/// What a client reads from its connection: answers in the order of its commands, and messages of its inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// Answer: acquired, for the full TTL, with a token; and whether the place that was named had been lost.
    Acquired(Owner, u8, bool),
    /// Answer to a take: taken, but the counter had lost its seed.
    Unseeded(Owner),
    /// Answer: someone else holds it.
    Held {
        /// Whose answer it is.
        owner: Owner,
        /// The holder's time, if it has an end.
        pttl: Option<u8>,
        /// It is the next.
        head: bool,
        /// The place that was named was not in the queue any more.
        lost: bool,
    },
    /// Answer to a wait: many dead waiters were passed over, ask again.
    More(Owner),
    /// Answer to a renewal.
    Renewed {
        /// Whose answer it is.
        owner: Owner,
        /// Whether it was still the owner's.
        mine: bool,
        /// The server has it for longer than that.
        longer: bool,
        /// Whether the renewal had counted as failed.
        late: Late,
    },
    /// Answer to a release; whether many dead waiters were passed over, and it is to be sent again.
    Released(Owner, bool),
    /// Inbox: the name was handed to this owner, for the claim window and with a token.
    Grant(Owner, u8),
    /// Inbox: this owner is the next, and the holder's time.
    Next(Owner, Option<u8>),
    /// The server closed the connection.
    Closed,
}

impl Message {
    /// Whether it is an answer to `owner`.
    pub(crate) fn answers(self, to: Owner) -> bool {
        match self {
            Self::Acquired(owner, ..)
            | Self::Unseeded(owner)
            | Self::Held { owner, .. }
            | Self::More(owner)
            | Self::Renewed { owner, .. }
            | Self::Released(owner, _) => owner == to,
            Self::Grant(..) | Self::Next(..) | Self::Closed => false,
        }
    }

    /// Whether it came by pub/sub.
    pub(crate) fn is_push(self) -> bool {
        matches!(self, Self::Grant(..) | Self::Next(..))
    }
}

/// One direction of a connection: first in, first out, and nothing stays for more than one tick.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fifo<T> {
    items: ArrayVec<T, 8>,
    /// How many of them were there at the last tick.
    aged: u8,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self {
            items: ArrayVec::new(),
            aged: 0,
        }
    }
}

impl<T: Copy + std::fmt::Debug> Fifo<T> {
    /// Adds at the end.
    pub(crate) fn push(&mut self, item: T) {
        assert!(!self.items.is_full(), "{item:?} does not fit: {self:?}");
        self.items.push(item);
    }

    /// Takes the first.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.aged = self.aged.saturating_sub(1);
        self.items.pop_at(0)
    }

    /// The first.
    pub(crate) fn front(&self) -> Option<T> {
        self.items.first().copied()
    }

    /// The last.
    pub(crate) fn last(&self) -> Option<T> {
        self.items.last().copied()
    }

    /// Takes the last.
    pub(crate) fn pop_last(&mut self) -> Option<T> {
        let last = self.items.pop();
        self.aged = self
            .aged
            .min(u8::try_from(self.items.len()).expect("short"));
        last
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().copied()
    }

    /// In order, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut()
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps what `keep` says yes to.
    pub(crate) fn retain(&mut self, keep: impl Fn(T) -> bool) {
        let mut kept = Self::default();
        for (at, item) in self.items.drain(..).enumerate() {
            if keep(item) {
                kept.items.push(item);
                kept.aged += u8::from(at < usize::from(self.aged));
            }
        }
        *self = kept;
    }

    /// Whether something has stayed for a tick: it must arrive before the next.
    pub(crate) fn is_overdue(&self) -> bool {
        self.aged > 0
    }

    /// A tick passes.
    pub(crate) fn age(&mut self) {
        self.aged = u8::try_from(self.items.len()).expect("short");
    }

    /// Age means nothing here: forget it, so that alike states are one.
    pub(crate) fn forget_age(&mut self) {
        self.aged = 0;
    }
}
