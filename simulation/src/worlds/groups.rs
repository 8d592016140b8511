//! What must hold of several names that are taken together: all or none, none out of turn, and over together.

use crate::server::ConnId;
use crate::worlds::checker::{Checker, Op};
use crate::worlds::rules::{ALL_OR_NONE, LOST_TOGETHER, SECOND, SLACK};
use crate::worlds::taken::Taken;
use crate::worlds::world::State;

/// What is given up is given back within this. What is lost while others are waited for is not: the server has it for what is left of a claim
/// window.
const GIVEN_BACK: u64 = 2_500_000;
const CLAIM_WINDOW_MS: u64 = 2_000;
/// No answer takes as long, from when it was asked for, unless something goes wrong.
const SLOW_ANSWER_MS: u64 = 500;

impl Op {
    /// Whether the name is one of several.
    pub(crate) fn is_of_group(&self) -> bool {
        self.acquire.names.len() > 1
    }

    /// Whether no lease of it ends here before it does there, as long as nothing goes wrong.
    fn lasts(&self) -> bool {
        let it = &self.acquire;
        it.renew && it.max_hold.is_none() && it.ttl >= CLAIM_WINDOW_MS
    }
}

impl Checker {
    /// Changes what is known of an acquire, for each of its names.
    pub(crate) fn change(&mut self, item: usize, change: impl FnMut(&mut Op)) {
        let all = self.ops.iter_mut();
        all.filter(|op| op.item == item).for_each(change);
    }
}

impl State {
    /// Whether an acquire asks for this name of its own: those before have to be held.
    fn is_in_turn(&self, at: usize) -> bool {
        let op = &self.checker.ops[at];
        // Who was not told that others ended it takes it to be held. A lease that is shorter than answers take is lost while those for the other names
        // come.
        if op.deposed.is_some() || op.acquire.ttl < SLOW_ANSWER_MS {
            return false;
        }
        let (Some(server), clock) = (&self.server, self.server_clock()) else {
            return false;
        };
        let mut ops = self.checker.ops.iter().enumerate();
        ops.all(|(other, it)| {
            if it.item != op.item || it.name >= op.name {
                return true;
            }
            let truth = &self.checker.truth[it.name];
            // Of one that was lost here the server may have the rest still, for which the acquire waits then.
            truth.holders.contains(&other)
                && !truth.has_in_line(other, server, clock, &self.checker.ops)
        })
    }

    /// The server reads what was left on a broken connection. What of several names is taken by that is there until its TTL ends: nobody waits for
    /// the answer, and what undoes it may have come before.
    pub(crate) fn feed_late(&mut self, at_server: ConnId, bytes: &[u8]) {
        self.see();
        let truths = self.checker.truth.iter();
        let had: Vec<Vec<usize>> = truths.map(|truth| truth.holders.clone()).collect();
        self.feed(at_server, bytes);
        let Checker { truth, ops, .. } = &mut self.checker;
        for (truth, had) in truth.iter().zip(had) {
            for &op in truth.holders.iter().filter(|op| !had.contains(op)) {
                ops[op].is_left_behind |= ops[op].is_of_group();
            }
        }
    }

    /// Several names were acquired: each of them is held.
    pub(crate) fn look_at_all_of(&mut self, item: usize, taken: &Taken) {
        let Taken::All(group) = taken else { return };
        let now = self.now();
        let ops = self.checker.ops.iter().filter(|op| op.item == item);
        let missing = ops.filter(|op| op.started.is_none()).count();
        if missing > 0 || !taken.held() {
            let how = format!("op{item} got {group:?}, without {missing} names");
            self.record.violate(ALL_OR_NONE, now, || how);
        }
    }

    /// An acquire was answered that there is nothing to have: it has none, and waits for none.
    pub(crate) fn look_at_none_of(&mut self, item: usize) {
        if !self.checker.ops[item].is_of_group() {
            return;
        }
        let (now, clock) = (self.now(), self.server_clock());
        self.look_at_truth();
        let Some(server) = &self.server else { return };
        let ops = &self.checker.ops;
        for (at, op) in ops.iter().enumerate() {
            let well_from = self.processes[op.acquire.client].well_from;
            if op.item != item || !op.lasts() || op.began.is_none_or(|it| it < well_from) {
                continue;
            }
            let truth = &self.checker.truth[op.name];
            if truth.holders.contains(&at) || truth.has_in_line(at, server, clock, ops) {
                let how = format!(
                    "op{item} has got nothing, and the server has it for name {}",
                    op.name
                );
                self.record.violate(ALL_OR_NONE, now, || how);
            }
        }
    }

    /// Looks at all that are of several names.
    pub(crate) fn look_at_groups(&mut self) {
        let (now, clock) = (self.now(), self.server_clock());
        let Some(server) = &self.server else { return };
        for at in 0..self.checker.ops.len() {
            let op = &self.checker.ops[at];
            let process = &self.processes[op.acquire.client];
            let (item, name, well_from) = (op.item, op.name, process.well_from);
            if !op.is_of_group() || op.is_dead {
                continue;
            }
            let has_it = self.checker.truth[name].holders.contains(&at);
            // Whoever waits with a name behind may wait for somebody who waits for that.
            let mut others = self.checker.ops.iter().enumerate();
            let waits_before = has_it
                && !op.is_left_behind
                && op.is_waiting()
                && others.any(|(other, it)| {
                    let truth = &self.checker.truth[it.name];
                    it.item == item
                        && it.name < name
                        && truth.has_in_line(other, server, clock, &self.checker.ops)
                });
            let lapsed = op
                .lapsed
                .filter(|_| has_it && !op.given_back && !op.is_left_behind);
            let is_in_turn = op.is_waiting() && self.is_in_turn(at);
            let op = &mut self.checker.ops[at];
            op.in_turn_since = is_in_turn.then(|| op.in_turn_since.unwrap_or(now));
            op.out_of_turn_since = waits_before.then(|| op.out_of_turn_since.unwrap_or(now));
            if let Some(since) = op.out_of_turn_since
                && now > since.max(well_from) + GIVEN_BACK
                && !self.checker.went_back
            {
                let how = format!("op{item} has name {name}, and waits for one before it");
                self.record.violate(ALL_OR_NONE, now, || how);
            }
            let kept_until = op.kept_until();
            let by = |lapsed: u64| {
                let ended = lapsed.max(well_from).max(kept_until);
                ended + 2 * self.checker.command_timeout + SLACK + SECOND
            };
            if let Some(lapsed) = lapsed
                && now > by(lapsed)
                && !self.checker.went_back
            {
                let how = format!(
                    "op{item} was lost at {} ms, and the server has it for name {name} still",
                    lapsed / 1_000
                );
                self.record.violate(LOST_TOGETHER, now, || how);
            }
        }
    }
}
