//! How a plan is made from a seed.

use crate::worlds::chance::Chance;
use crate::worlds::plan::{Acquire, Act, Delays, Fault, Item, Kind, Millis, Plan, What};

/// What makes a plan.
pub(super) struct Planner {
    chance: Chance,
    /// Decides on each `min_hold`.
    keeping: Chance,
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
    pub(super) fn new(seed: u64, kind: Kind) -> Self {
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
            keeping: Chance::new(seed),
        }
    }

    /// The plan.
    pub(super) fn plan(mut self) -> Plan {
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
        let max_hold = self.chance.once_in(8);
        let max_hold = max_hold.then(|| ttl + self.chance.of(0..=2 * ttl));
        let min_hold = self.keeping.once_in(8);
        let min_hold = min_hold.then(|| self.keeping.of(1..=6) * 500);
        Acquire {
            client: self.chance.index(self.clients),
            names: vec![self.chance.index(self.names)],
            limit,
            ttl,
            wait,
            renew: !self.chance.once_in(4),
            max_hold,
            min_hold: min_hold.map(|it| it.min(max_hold.unwrap_or(it))),
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
