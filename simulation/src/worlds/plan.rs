//! What happens in a world: who asks for what and when, and what goes wrong meanwhile. It is data, so that parts of it can be left out to
//! see whether what was found is still there.

use std::fmt;

use crate::worlds::planner::Planner;

/// Times of a plan, in ms.
pub type Millis = u64;

/// All that is planned for one world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made from, and what chance in the world is made from.
    pub seed: u64,
    /// How many clients there are, each a process of its own.
    pub clients: usize,
    /// How many names.
    pub names: usize,
    /// The clients' command time-out.
    pub command_timeout: Millis,
    /// The clients were told that no holder's code runs in their runtime.
    pub dedicated: bool,
    /// A task is put behind the others once in so many times; 0: never.
    pub shuffled: u32,
    /// What a message takes.
    pub delays: Delays,
    /// What is planned, in no order.
    pub items: Vec<Item>,
}

/// What a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delays {
    /// No time.
    None,
    /// Up to 2 ms.
    Short,
    /// Up to 40 ms, and now and then 200 ms.
    Long,
    /// 200 ms and a little more, always.
    Distant,
}

/// One thing that is planned.
#[derive(Clone, Debug)]
pub struct Item {
    /// A number that stays when others are left out.
    pub id: usize,
    /// When it begins.
    pub at: Millis,
    /// What it is.
    pub what: What,
}

/// What may be planned.
#[derive(Clone, Debug)]
pub enum What {
    /// A lock is asked for.
    Acquire(Acquire),
    /// Something goes wrong, or somebody else does something.
    Fault(Fault),
}

/// A lock that is asked for, and what is done with it.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// Who asks.
    pub client: usize,
    /// For which names: one, or several together, all or none; in any order, and perhaps one twice.
    pub names: Vec<usize>,
    /// How many may hold it: 1 alone, 0 readers, n permits.
    pub limit: u32,
    /// The lease's TTL.
    pub ttl: Millis,
    /// How long to wait; `None`: for ever.
    pub wait: Option<Millis>,
    /// The lease is renewed.
    pub renew: bool,
    /// How long it is held at most.
    pub max_hold: Option<Millis>,
    /// How long the name stays taken at the least, though the lease is given back.
    pub min_hold: Option<Millis>,
    /// The future is dropped when it was polled so often.
    pub cancelled: Option<u32>,
    /// What is done with the lease, in this order; at the end it is dropped.
    pub then: Vec<Act>,
}

/// What is done with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is held for so long.
    Hold(Millis),
    /// It is extended to this TTL.
    Extend(Millis),
    /// The future of an extension is dropped after so long.
    ExtendAndCancel(Millis, Millis),
    /// It is given back.
    Release,
    /// It is given back, and the future of that dropped after so long.
    ReleaseAndCancel(Millis),
    /// It is given back by its owner's name.
    ReleaseByOwner,
    /// It is left to its TTL.
    Detach,
}

impl Acquire {
    fn called(&self) -> String {
        match self.names[..] {
            [name] => format!("name {name}"),
            _ => format!("names {:?}", self.names),
        }
    }
}

impl Act {
    /// Whether it changes when the lease is renewed.
    #[must_use]
    pub fn is_extension(self) -> bool {
        matches!(self, Self::Extend(_) | Self::ExtendAndCancel(..))
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's connections are reset. What it had sent arrives up to `late` ms later still, or not at all where that is `None`; the
    /// server hears of the reset after `unheard` ms more.
    Reset {
        /// Whose.
        client: usize,
        /// How much later what was sent arrives.
        late: Option<Millis>,
        /// How long the server does not hear of it.
        unheard: Millis,
    },
    /// Nothing gets through for a while in these directions, and then all of it.
    Stall {
        /// Whose connections.
        client: usize,
        /// To the server.
        there: bool,
        /// From the server.
        back: bool,
        /// For so long.
        lasts: Millis,
    },
    /// Nothing gets through any more on the connections that there are.
    Hole {
        /// Whose connections.
        client: usize,
        /// To the server.
        there: bool,
        /// From the server.
        back: bool,
    },
    /// New connections are not answered, or are refused.
    NoConnections {
        /// Whose.
        client: usize,
        /// Refused at once.
        refused: bool,
        /// For so long.
        lasts: Millis,
    },
    /// The client's process is stopped; its clock goes on.
    Stop {
        /// Whose.
        client: usize,
        /// For so long.
        lasts: Millis,
    },
    /// The process ends at once. Silently: its machine is gone, and the server does not hear of it.
    Kill {
        /// Whose.
        client: usize,
        /// Nobody closes its connections.
        silently: bool,
    },
    /// The server's process ends and comes back.
    Restart {
        /// With its data.
        kept: bool,
        /// After so long.
        down: Millis,
    },
    /// A replica takes over, which has what the server had `lag` ms before.
    Failover {
        /// How far it is behind.
        lag: Millis,
        /// How long there is no server.
        down: Millis,
    },
    /// The server is stopped for a while.
    StopServer {
        /// For so long.
        lasts: Millis,
    },
    /// `FLUSHALL`.
    Flush,
    /// `SCRIPT FLUSH`.
    FlushScripts,
    /// The lock is evicted.
    LoseLock {
        /// Whose.
        name: usize,
    },
    /// The queue is evicted.
    LoseQueue {
        /// Whose.
        name: usize,
    },
    /// The server's clock is set, by so many ms.
    SetClock {
        /// Forward, or back.
        by: i64,
    },
    /// A client releases the lock by force.
    Force {
        /// Who.
        client: usize,
        /// Which.
        name: usize,
    },
}

/// What a plan may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All there is.
    Everything,
    /// Exclusive locks, and no faults but those of networks and clients.
    Exclusive,
    /// Exclusive locks of short TTLs that are extended to long ones or the other way round, and connections that break with something under way, which
    /// arrives late.
    Late,
    /// No faults at all.
    Calm,
    /// All there is, and half of what is asked for are several names together.
    Groups,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Everything,
        Self::Exclusive,
        Self::Late,
        Self::Calm,
        Self::Groups,
    ];
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64, kind: Kind) -> Self {
        Planner::new(seed, kind).plan()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} clients, {} names, command time-out {} ms, delays {:?}, dedicated {}, shuffled {}",
            self.seed,
            self.clients,
            self.names,
            self.command_timeout,
            self.delays,
            self.dedicated,
            self.shuffled
        )?;
        let mut items: Vec<_> = self.items.iter().collect();
        items.sort_by_key(|item| item.at);
        for item in items {
            match &item.what {
                What::Acquire(it) => writeln!(
                    f,
                    "{:>7} ms  op{} of client {}: {}, limit {}, ttl {}, wait {:?}, renew {}, max_hold {:?}, min_hold {:?}, cancelled {:?}, then {:?}",
                    item.at,
                    item.id,
                    it.client,
                    it.called(),
                    it.limit,
                    it.ttl,
                    it.wait,
                    it.renew,
                    it.max_hold,
                    it.min_hold,
                    it.cancelled,
                    it.then
                )?,
                What::Fault(fault) => writeln!(f, "{:>7} ms  {fault:?}", item.at)?,
            }
        }
        Ok(())
    }
}
