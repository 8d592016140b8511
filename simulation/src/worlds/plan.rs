//! What happens in a world, made from a seed: who asks for what and when, and what goes wrong meanwhile. It is data, so that parts of it
//! can be left out to see whether what was found is still there.

use std::fmt;

use crate::worlds::chance::Chance;

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

struct Planner {
    chance: Chance,
    seed: u64,
    kind: Kind,
    clients: usize,
    names: usize,
    /// How many may hold each name of those who ask for permits.
    permits: u32,
    command_timeout: Millis,
    lasts: Millis,
    /// Of leases: all short, all long, or mixed.
    ttls: &'static [Millis],
    sharing: bool,
}

const SHORT: &[Millis] = &[100, 100, 150, 300, 500, 900];
const MIXED: &[Millis] = &[100, 300, 500, 1_000, 2_000, 3_000, 3_000, 10_000, 30_000];
const LONG: &[Millis] = &[2_000, 3_000, 5_000, 10_000, 30_000];

impl Planner {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut chance = Chance::new(seed ^ 0x9e37_79b9_7f4a_7c15);
        Self {
            seed,
            kind,
            clients: chance.index(4) + 2,
            names: match kind {
                Kind::Groups => chance.pick(&[2, 2, 3, 4]),
                _ => chance.pick(&[1, 1, 1, 2, 3]),
            },
            permits: chance.pick(&[2, 2, 3]),
            command_timeout: chance.pick(&[1_000, 1_500, 2_000, 5_000]),
            lasts: chance.of(500..=6_000),
            ttls: chance.pick(&[SHORT, MIXED, MIXED, LONG, LONG]),
            sharing: !matches!(kind, Kind::Exclusive | Kind::Late) && chance.once_in(3),
            chance,
        }
    }

    fn plan(mut self) -> Plan {
        let mut items = Vec::new();
        let acquires = self.chance.of(2..=9);
        for _ in 0..acquires {
            let mut acquire = self.acquire();
            if self.kind == Kind::Groups && self.chance.once_in(2) {
                self.take_together(&mut acquire);
            }
            self.add(&mut items, What::Acquire(acquire));
        }
        let faults = match self.kind {
            Kind::Calm | Kind::Late => 0,
            _ => self.chance.pick(&[0, 1, 1, 2, 2, 3, 4]),
        };
        if self.kind == Kind::Late {
            self.late(&mut items);
        }
        let mut last = None;
        for _ in 0..faults {
            let fault = self.fault();
            let mut at = self.chance.of(0..=self.lasts);
            if let Some(last) = last
                && self.chance.once_in(2)
            {
                // Two at once, or shortly after each other.
                at = last + self.chance.pick(&[0, 1, 10, 100, 1_000]);
            }
            last = Some(at);
            items.push(Item {
                id: items.len(),
                at,
                what: What::Fault(fault),
            });
        }
        Plan {
            seed: self.seed,
            clients: self.clients,
            names: self.names,
            command_timeout: self.command_timeout,
            dedicated: self.chance.once_in(2),
            shuffled: self.chance.pick(&[0, 0, 16, 4]),
            delays: self.chance.pick(&[
                Delays::None,
                Delays::Short,
                Delays::Short,
                Delays::Short,
                Delays::Long,
            ]),
            items,
        }
    }

    /// What is sent is held up, and the connection breaks meanwhile.
    fn late(&mut self, items: &mut Vec<Item>) {
        for item in &mut *items {
            if let What::Acquire(acquire) = &mut item.what {
                let is_short = self.chance.once_in(2);
                let (short, long) = (self.chance.pick(SHORT), self.chance.pick(&[10_000, 30_000]));
                let (ttl, other) = if is_short {
                    (short, long)
                } else {
                    (long, short)
                };
                acquire.ttl = ttl;
                if self.chance.once_in(3) {
                    acquire.cancelled = Some(u32::try_from(self.chance.of(1..=6)).unwrap_or(1));
                }
                if self.chance.once_in(4) {
                    acquire.wait = Some(0);
                }
                acquire.max_hold = None;
                let soon = self.chance.pick(&[0, 0, 5, 50]);
                let while_long = self.chance.of(500..=2_500);
                acquire.then = vec![
                    Act::Hold(soon),
                    Act::Extend(other),
                    Act::Hold(while_long),
                    Act::Release,
                ];
            }
        }
        for _ in 0..self.chance.of(1..=3) {
            let client = self.chance.index(self.clients);
            let at = self.chance.of(0..=self.lasts);
            let lasts = self.chance.of(1..=300);
            let late = self.chance.of(0..=self.command_timeout * 3 / 5);
            let stall = Fault::Stall {
                client,
                there: true,
                back: self.chance.once_in(2),
                lasts: lasts + 1,
            };
            let reset = Fault::Reset {
                client,
                late: Some(late),
                unheard: 0,
            };
            for (at, fault) in [(at, stall), (at + lasts, reset)] {
                items.push(Item {
                    id: items.len(),
                    at,
                    what: What::Fault(fault),
                });
            }
        }
    }

    fn add(&mut self, items: &mut Vec<Item>, what: What) {
        let at = if self.chance.once_in(3) {
            0
        } else {
            self.chance.of(0..=self.lasts)
        };
        items.push(Item {
            id: items.len(),
            at,
            what,
        });
    }

    fn acquire(&mut self) -> Acquire {
        let ttl = self.chance.pick(self.ttls);
        let wait = match self.chance.index(8) {
            0 => Some(0),
            1 => Some(self.chance.of(1..=300)),
            2 | 3 => Some(self.chance.of(300..=5_000)),
            4 => Some(20_000),
            _ => None,
        };
        let limit = if self.sharing {
            self.chance.pick(&[1, 0, 0, self.permits, self.permits])
        } else {
            1
        };
        let cancelled = self
            .chance
            .once_in(6)
            .then(|| u32::try_from(self.chance.of(1..=12)).unwrap_or(1));
        let mut then = vec![self.hold(ttl)];
        for _ in 0..self.chance.pick(&[0, 0, 0, 1, 2]) {
            let other = self.chance.pick(self.ttls);
            let act = match self.chance.index(3) {
                0 => Act::ExtendAndCancel(other, self.chance.of(0..=50)),
                _ => Act::Extend(other),
            };
            then.push(act);
            let hold = self.hold(ttl);
            then.push(hold);
        }
        match self.chance.index(12) {
            0..=6 => then.push(Act::Release),
            7 => then.push(Act::ReleaseAndCancel(self.chance.of(0..=20))),
            8 => then.push(Act::ReleaseByOwner),
            9 => {
                then.push(Act::Detach);
                then.push(Act::Hold(ttl + 10));
            }
            _ => {}
        }
        Acquire {
            client: self.chance.index(self.clients),
            names: vec![self.chance.index(self.names)],
            limit,
            ttl,
            wait,
            renew: !self.chance.once_in(4),
            max_hold: self
                .chance
                .once_in(8)
                .then(|| ttl + self.chance.of(0..=2 * ttl)),
            cancelled,
            then,
        }
    }

    /// Several names are asked for in place of one.
    fn take_together(&mut self, acquire: &mut Acquire) {
        let mut names: Vec<usize> = (0..self.names).collect();
        for at in 1..names.len() {
            names.swap(at, self.chance.index(at + 1));
        }
        names.truncate(2 + self.chance.index(self.names - 1));
        if self.chance.once_in(8) {
            names.push(names[0]);
        }
        acquire.names = names;
        if acquire.cancelled.is_some() {
            acquire.cancelled = Some(u32::try_from(self.chance.of(1..=40)).unwrap_or(1));
        }
        if !acquire.renew && acquire.wait.is_none() {
            // Without renewals the first is to live until the last is there.
            acquire.ttl = acquire.ttl.max(500);
        }
        // There is no such thing as leaving several to their TTL.
        acquire.then.retain(|act| *act != Act::Detach);
    }

    fn hold(&mut self, ttl: Millis) -> Act {
        Act::Hold(match self.chance.index(12) {
            0 | 6 => 0,
            1 | 7 => self.chance.of(0..=30),
            // Long enough to be renewed, or not to be any more.
            8 => self.chance.of(0..=9_000),
            2 => (ttl * 3 / 2).min(3_500),
            _ => self.chance.of(0..=1_500),
        })
    }

    fn fault(&mut self) -> Fault {
        let client = self.chance.index(self.clients);
        let name = self.chance.index(self.names);
        let chance = &mut self.chance;
        let late = chance.of(0..=self.command_timeout * 4 / 5);
        let most = if self.kind == Kind::Exclusive { 13 } else { 22 };
        let (there, back) = chance.pick(&[(true, false), (false, true), (true, true)]);
        match chance.index(most) {
            0..=3 => Fault::Reset {
                client,
                late: chance.pick(&[None, Some(0), Some(late), Some(late)]),
                unheard: chance.pick(&[0, 0, 100, 3_000]),
            },
            4..=6 => Fault::Stall {
                client,
                there,
                back,
                lasts: chance.pick(&[50, 300, late, late, 1_200]),
            },
            7 | 8 => Fault::Hole {
                client,
                there,
                back,
            },
            9 => Fault::NoConnections {
                client,
                refused: chance.once_in(2),
                lasts: chance.of(100..=3_000),
            },
            10 | 11 => Fault::Stop {
                client,
                lasts: chance.pick(&[20, 500, 1_500, 4_000]),
            },
            12 => Fault::Kill {
                client,
                silently: chance.once_in(3),
            },
            13 | 14 => Fault::Restart {
                kept: chance.once_in(2),
                down: chance.pick(&[0, 10, 500, 2_000]),
            },
            15 => Fault::Failover {
                lag: chance.pick(&[1, 50, 500]),
                down: chance.pick(&[10, 500]),
            },
            16 => Fault::StopServer {
                lasts: chance.pick(&[100, 800, 2_500]),
            },
            17 => Fault::Flush,
            18 => chance.pick(&[
                Fault::FlushScripts,
                Fault::LoseLock { name },
                Fault::LoseQueue { name },
            ]),
            19 => Fault::SetClock {
                by: chance.pick(&[-3_600_000, -2_000, -100, 100, 2_000, 3_600_000]),
            },
            _ => Fault::Force { client, name },
        }
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
                    "{:>7} ms  op{} of client {}: {}, limit {}, ttl {}, wait {:?}, renew {}, max_hold {:?}, cancelled {:?}, then {:?}",
                    item.at,
                    item.id,
                    it.client,
                    it.called(),
                    it.limit,
                    it.ttl,
                    it.wait,
                    it.renew,
                    it.max_hold,
                    it.cancelled,
                    it.then
                )?,
                What::Fault(fault) => writeln!(f, "{:>7} ms  {fault:?}", item.at)?,
            }
        }
        Ok(())
    }
}
