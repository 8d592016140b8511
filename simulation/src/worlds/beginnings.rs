//! What must hold when a lease begins: who else has the name, and who had it before.

use std::sync::Arc;

use crate::worlds::checker::items;
use crate::worlds::rules::{ONE_LEASE, TOKENS_GROW};
use crate::worlds::taken::Taken;
use crate::worlds::world::{Event, State};

impl State {
    /// A lease begins, or those of several names do.
    pub(crate) fn on_lease(&mut self, item: usize, taken: &Arc<Taken>) {
        let now = self.now();
        let tokens = taken.tokens();
        for (name, token) in &tokens {
            self.record.note(now, 6, &token.to_le_bytes(), || {
                format!("op{item} has a lease on name {name}, token {token}")
            });
        }
        for op in &mut self.checker.ops {
            let of_name = tokens.iter().find(|(name, _)| *name == op.name);
            if let Some((_, token)) = of_name.filter(|_| op.item == item) {
                op.started = Some(now);
                op.token = *token;
                op.taken = Arc::downgrade(taken);
            }
        }
        let left = self.checker.ops[item].held_for();
        self.schedule((now + left).saturating_sub(1_000), Event::NearlyOver(item));
        self.see();
        self.look_at_leases();
        self.look_at_all_of(item, taken);
        for at in 0..self.checker.ops.len() {
            if self.checker.ops[at].item == item {
                self.compare_leases(at, left);
            }
        }
    }

    /// A lease that has just begun, beside the others.
    fn compare_leases(&mut self, at: usize, left: u64) {
        let now = self.now();
        let op = &self.checker.ops[at];
        let (item, name, limit, token) = (op.item, op.name, op.acquire.limit, op.token);
        // Tokens.
        let began = self.checker.ops[at].began.unwrap_or(0);
        let is_excused = self.checker.went_back && self.checker.lost_data;
        let deposed = self.checker.ops[at].deposed;
        for other in 0..self.checker.ops.len() {
            let it = &self.checker.ops[other];
            let Some(started) = it.started.filter(|_| other != at) else {
                continue;
            };
            let other = it.item;
            let is_of_turn = it.name == name
                && (limit == 1 || it.acquire.limit == 1)
                && deposed.is_none()
                && it.deposed.is_none();
            let is_before = started < began || is_of_turn;
            if !is_excused && (it.token == token || is_before && it.token > token) {
                let how = format!(
                    "op{item} has token {token}, and op{other}, whose lease started before, {}",
                    it.token
                );
                self.record.violate(TOKENS_GROW, now, || how);
            }
        }
        // Who else has it.
        if deposed.is_some() || left == 0 {
            return;
        }
        let others: Vec<usize> = (0..self.checker.ops.len())
            .filter(|&other| {
                let it = &self.checker.ops[other];
                let is_live = other != at && it.started.is_some() && it.deposed.is_none();
                is_live && it.name == name && it.held_for() > 0
            })
            .collect();
        let limits = others.iter().map(|&it| self.checker.ops[it].acquire.limit);
        let is_alone = limit == 1 || limits.clone().any(|it| it == 1);
        let with_permits = limits.filter(|&it| it > 1).max().unwrap_or(0).max(limit);
        let has_readers = limit == 0
            || others
                .iter()
                .any(|&it| self.checker.ops[it].acquire.limit == 0);
        let is_crowded = with_permits > 1 && !has_readers && others.len() >= with_permits as usize;
        if !others.is_empty() && (is_alone || is_crowded) {
            let others = items(&self.checker.ops, &others);
            let how =
                format!("op{item} (limit {limit}) has a lease on name {name} beside {others:?}");
            self.record.violate(ONE_LEASE, now, || how);
        }
    }
}
