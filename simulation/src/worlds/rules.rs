//! What must hold in every world, looked at as it happens.

use crate::worlds::checker::{items, op_of};
use crate::worlds::order::Look;
use crate::worlds::world::{Event, State};

/// At most one live lease, or as many as share the name, by the clients' own deadlines.
pub const ONE_LEASE: &str = "at most one live lease";
/// While a client says that it holds a lock, the server says so, too.
pub const HELD_IS_HELD: &str = "what is held here is held there";
/// Tokens are unique, and grow in the order in which leases start.
pub const TOKENS_GROW: &str = "tokens grow";
/// A free name with a live waiter is taken soon.
pub const TAKEN_SOON: &str = "a free name is taken soon";
/// An acquire ends within its wait, and a little more.
pub const WAIT_ENDS: &str = "an acquire ends within its wait";
/// One without a limit ends when its turn has come.
pub const TURN_COMES: &str = "everybody's turn comes";
/// Nothing of an acquire that is over is left on the server.
pub const NOTHING_LEFT: &str = "nothing is left";
/// A loss is told.
pub const LOSS_TOLD: &str = "a loss is told";
/// A holder whose lease was ended elsewhere learns of it.
pub const LEARNS: &str = "a holder learns that its lease has gone";
/// Who waits for several names has none behind the one that is waited for; who has got nothing has none, and who has got them has all.
pub const ALL_OR_NONE: &str = "all names or none";
/// Where one name of several is lost, the others are given back.
pub const LOST_TOGETHER: &str = "what is held together is lost together";
/// First come, first served.
pub const IN_LINE: &str = "waiters are served in their order";
/// A client closes in time.
pub const CLOSES: &str = "a client closes";

/// A free name is taken within so many µs: the next in line was told of a claim window, and is not always told that it was cut.
const SOON: u64 = 2_300_000;
/// A keeper looks once a second.
const TOLD_WITHIN: u64 = 1_400_000;
/// What is late beside time-outs.
pub(crate) const SLACK: u64 = 2_000_000;
pub(crate) const SECOND: u64 = 1_000_000;

impl State {
    /// Sees who holds what on the server, where that may have changed.
    pub(crate) fn look_at_truth(&mut self) {
        let offset = self.offset();
        if offset.is_some() && self.checker.offset == offset {
            return;
        }
        self.see();
        self.look_at_leases();
    }

    /// Sees it in any case.
    pub(crate) fn see(&mut self) {
        let (now, clock) = (self.now(), self.server_clock());
        let Some(server) = &self.server else {
            // What it had then it has still, or it is lost.
            return;
        };
        self.checker.offset = Some(server.offset());
        let mut are_met = Vec::new();
        let ops = &self.checker.ops;
        for (name, truth) in self.checker.truth.iter_mut().enumerate() {
            let owner = server.text_of(&truth.lock, clock);
            truth.is_shared = owner == Some(b"||shared");
            let owners = match owner {
                Some(_) if truth.is_shared => truth.sharing(server, clock),
                Some(owner) => vec![owner],
                None => Vec::new(),
            };
            let of_them = owners.iter().filter_map(|owner| op_of(owner, name, ops));
            let holders: Vec<usize> = of_them.collect();
            let well_from = |member: &[u8]| {
                let op = &ops[op_of(member, name, ops)?];
                let process = &self.processes[op.acquire.client];
                op.is_waiting().then_some(process.well_from)
            };
            let look = Look {
                server,
                now,
                clock,
                lock: &truth.lock,
                queue: &truth.queue,
                owners: &owners,
            };
            let disorder = truth.line.look(&look, well_from);
            // By a clock that went back, earlier places are later than new ones.
            if let Some(how) = disorder.filter(|_| !self.checker.went_back) {
                let how = || format!("name {name}: {how}");
                self.record.violate(IN_LINE, now, how);
            }
            // Shared by nobody any more it is free.
            truth.is_shared &= !holders.is_empty();
            truth.is_taken = truth.is_shared || owner.is_some_and(|it| it != b"||shared");
            truth.free_since = match truth.free_since {
                _ if truth.is_taken => None,
                Some(since) => Some(since),
                None => Some(now),
            };
            if truth.holders != holders {
                self.record.note(now, 4, &[], || {
                    format!("    name {name} is held by {:?}", items(ops, &holders))
                });
                truth.holders = holders;
            }
            if truth.forces > 0 {
                are_met.extend_from_slice(&truth.holders);
            }
        }
        self.depose(&are_met);
    }

    /// These leases may have been ended by others.
    pub(crate) fn depose(&mut self, ops: &[usize]) {
        let now = self.now();
        for &op in ops {
            let op = &mut self.checker.ops[op];
            op.deposed = op.deposed.or(Some(now));
        }
    }

    /// All that hold anything now may be ended by what comes.
    pub(crate) fn depose_all(&mut self) {
        self.see();
        let all: Vec<usize> = self
            .checker
            .truth
            .iter()
            .flat_map(|truth| truth.holders.clone())
            .collect();
        self.depose(&all);
    }

    /// Who was deposed with a lease has to learn of it by then; who had none yet may get another one. Whose network fails does not hear of it.
    pub(crate) fn deposed_learn_by(&mut self, by: u64) {
        let now = self.now();
        for op in &mut self.checker.ops {
            let is_well = self.processes[op.acquire.client].well_from <= now;
            if op.deposed == Some(now) && op.started.is_some() && is_well {
                op.learns_by = Some(by);
            }
        }
    }

    /// While a client says that it holds a lock, the server says so, too.
    pub(crate) fn look_at_leases(&mut self) {
        if self.is_down() {
            return;
        }
        let now = self.now();
        for at in 0..self.checker.ops.len() {
            let op = &self.checker.ops[at];
            if op.started.is_none() || op.deposed.is_some() || op.held_for() == 0 {
                continue;
            }
            if !self.checker.truth[op.name].holders.contains(&at) {
                // It may have ended since the last look.
                self.see();
                let op = &self.checker.ops[at];
                let truth = &self.checker.truth[op.name];
                if !truth.holders.contains(&at) && op.deposed.is_none() {
                    let how = format!(
                        "op{} takes name {} to be held for {} ms more, and the server has {:?}",
                        op.item,
                        op.name,
                        op.held_for() / 1_000,
                        items(&self.checker.ops, &truth.holders)
                    );
                    self.record.violate(HELD_IS_HELD, now, || how);
                }
            }
        }
    }

    /// Looks at all that is to hold.
    pub(crate) fn look(&mut self) {
        if self.is_down() {
            for truth in &mut self.checker.truth {
                truth.free_since = None;
            }
        } else {
            self.see();
            self.look_at_leases();
            self.look_for_rests();
            self.look_at_groups();
            self.look_at_waiters();
        }
        self.look_at_holders();
    }

    /// Nothing of an acquire that is over is left.
    fn look_for_rests(&mut self) {
        let now = self.now();
        let clock = self.server_clock();
        let Some(server) = &self.server else { return };
        for (name, truth) in self.checker.truth.iter().enumerate() {
            let waiting = truth.waiting(server, clock, &self.checker.ops);
            let head = waiting.first().copied();
            let (is_shared, count) = (truth.is_shared, truth.holders.len());
            for (at, op) in self.checker.ops.iter_mut().enumerate() {
                let limit = op.acquire.limit as usize;
                let has_room = is_shared && (limit == 0 || count < limit) && limit != 1;
                op.room_since = if has_room && head == Some(at) && op.name == name {
                    op.room_since.or(Some(now))
                } else if op.name == name {
                    None
                } else {
                    op.room_since
                };
            }
            for &op in waiting.iter().chain(&truth.holders) {
                let op = &self.checker.ops[op];
                let process = &self.processes[op.acquire.client];
                let Some(over) = op.over.filter(|_| !op.is_dead && !process.is_dead) else {
                    continue;
                };
                let well_from = process.well_from;
                // A release is tried for the command time-out, also of what is lost with others; a clock that went back keeps what is left for as
                // long.
                let is_release = op.lapsed.is_none() || op.is_of_group();
                let is_late = is_release && well_from > over || self.checker.went_back;
                // While several are taken there are leases already.
                let had_lease = op.started.is_some() || op.is_of_group();
                let is_excused = op.is_left_behind || op.is_detached || had_lease && is_late;
                // What undoes a late command is sent after the command time-out.
                let ended = well_from.max(over).max(op.kept_until());
                let by = ended + 2 * self.checker.command_timeout + SLACK + SECOND;
                if now > by && !is_excused {
                    let how = format!(
                        "op{} was over at {} ms, and the server has it for name {name} still",
                        op.item,
                        over / 1_000
                    );
                    self.record.violate(NOTHING_LEFT, now, || how);
                }
            }
        }
    }

    fn look_at_waiters(&mut self) {
        let now = self.now();
        for op in &self.checker.ops {
            if !op.is_waiting() {
                continue;
            }
            let began = op.began.unwrap_or(now);
            let process = &self.processes[op.acquire.client];
            if process.is_dead || process.stopped_until > now {
                continue;
            }
            if let Some(wait) = op.acquire.wait {
                let by = (began + wait.max(250) * 1_000).max(process.stopped_until)
                    + self.checker.command_timeout * if op.acquire.names.len() > 1 { 3 } else { 1 }
                    + SLACK;
                if now > by {
                    let how = format!(
                        "op{} began at {} ms with a wait of {wait} ms, and goes on",
                        op.item,
                        began / 1_000
                    );
                    self.record.violate(WAIT_ENDS, now, || how);
                }
            }
            let truth = &self.checker.truth[op.name];
            let since = truth.free_since.or(op.room_since);
            let (Some(since), Some(turn)) = (since, op.in_turn_since) else {
                continue;
            };
            let since = since.max(truth.told_until).max(turn);
            if now > since.max(began).max(process.well_from) + SOON {
                let how = format!(
                    "name {} is free, or has room, since {} ms, and op{} waits for it since {} ms",
                    op.name,
                    since / 1_000,
                    op.item,
                    began / 1_000
                );
                self.record.violate(TAKEN_SOON, now, || how);
            }
        }
    }

    fn look_at_holders(&mut self) {
        let now = self.now();
        let mut nearly_over = Vec::new();
        for at in 0..self.checker.ops.len() {
            let op = &self.checker.ops[at];
            let process = &self.processes[op.acquire.client];
            if op.started.is_none() || op.given_back || op.is_dead || process.is_dead {
                continue;
            }
            let (left, well_from) = (op.held_for(), process.well_from);
            let is_running = process.stopped_until <= now;
            if left > 0 {
                if left < 400_000 {
                    nearly_over.push((now + left).saturating_sub(1_000));
                }
                let is_there = self.checker.truth[op.name].holders.contains(&at);
                let is_gone = !is_there && !self.is_down();
                let op = &mut self.checker.ops[at];
                op.gone_since = is_gone.then(|| op.gone_since.unwrap_or(now));
                if let (Some(deposed), Some(gone)) = (op.deposed, op.gone_since)
                    && op.acquire.renew
                    && op.acquire.max_hold.is_none()
                    && !op.is_detached
                    && is_running
                {
                    let ttl = op.acquire.ttl * 1_000;
                    let ended = deposed.max(gone);
                    let usual = ended.max(well_from) + ttl / 3 + SECOND + SECOND / 2;
                    let by = op
                        .learns_by
                        .map_or(usual, |by| by.max(well_from))
                        .min(usual);
                    // One that was extended is renewed later.
                    if now > by && !op.acquire.then.iter().any(|act| act.is_extension()) {
                        let how = format!(
                            "the lease of op{} was ended at {} ms, and it goes on",
                            op.item,
                            ended / 1_000
                        );
                        self.record.violate(LEARNS, now, || how);
                    }
                }
                continue;
            }
            let op = &mut self.checker.ops[at];
            let lapsed = *op.lapsed.get_or_insert(now);
            let by = lapsed.max(well_from) + TOLD_WITHIN;
            if now > by && is_running && !op.told && !op.is_detached {
                let item = op.item;
                self.record.violate(LOSS_TOLD, now, || {
                    format!(
                        "the lease of op{item} is over since {} ms, and nobody was told",
                        lapsed / 1_000
                    )
                });
            }
        }
        for at in nearly_over {
            if at > now {
                self.schedule(at, Event::NearlyOver(0));
            }
        }
    }

    /// When all clients have closed: nothing but what the dead have left, and that ends by itself.
    pub(crate) fn look_at_the_end(&mut self) {
        let now = self.now();
        let clock = self.server_clock();
        let Some(server) = &self.server else { return };
        for key in server.keys_without_end() {
            if !key.ends_with(b"||||fence") {
                let key = String::from_utf8_lossy(key);
                self.record
                    .violate(NOTHING_LEFT, now, || format!("{key} has no TTL"));
            }
        }
        for (name, truth) in self.checker.truth.iter().enumerate() {
            for op in truth.waiting(server, clock, &self.checker.ops) {
                let it = &self.checker.ops[op];
                // Whoever detaches a lease leaves to others what comes of it. What was given back for later is not given back again.
                let was_for_later = it.started.is_some() && it.acquire.min_hold.is_some();
                let is_excused = it.is_left_behind || it.is_detached || was_for_later;
                if !self.processes[it.acquire.client].is_dead && !is_excused {
                    self.record.violate(NOTHING_LEFT, now, || {
                        format!(
                            "op{} is in the queue of name {name}, and its client is closed",
                            it.item
                        )
                    });
                }
            }
        }
    }
}
