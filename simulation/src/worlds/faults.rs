//! What goes wrong, and how long it takes to recover from that.

use std::sync::Arc;

use crate::worlds::checker::{lock_key, queue_key};
use crate::worlds::plan::Fault;
use crate::worlds::world::{Event, State, World};

const MS: u64 = 1_000;
/// A connection that was lost is there again within this, with all who wait asking again.
const RECOVERS: u64 = 1_500 * MS;
/// A connection that is silent is found out by whoever asks next, within so much and the command time-out.
const FOUND_OUT: u64 = 9_000 * MS;

/// Where the next in line hears nothing any more and the name is free, one of the others finds out when it looks by itself.
const OTHERS_LOOK: u64 = 4_500 * MS;

/// A fault begins.
pub(crate) fn begin(world: &Arc<World>, number: usize) {
    let fault = world.with(|state| {
        let now = state.now();
        let fault = state.faults[number];
        let mut bytes = [0; 8];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        state.record.note(now, 1, &bytes, || format!("{fault:?}"));
        fault
    });
    if let Fault::Force { client, name } = fault {
        let is_dead = world.with(|state| state.processes[client].is_dead);
        if !is_dead {
            world.member(client).force(name);
        }
        return;
    }
    world.with(|state| state.suffer(fault, number));
}

impl State {
    #[allow(clippy::too_many_lines, reason = "each fault is a few")]
    fn suffer(&mut self, fault: Fault, number: usize) {
        let now = self.now();
        let timeout = self.lasts();
        if let Fault::Kill { .. } | Fault::Hole { .. } = fault {
            self.others_look_by(now + OTHERS_LOOK);
        }
        if let Fault::Stop { lasts, .. }
        | Fault::Stall { lasts, .. }
        | Fault::NoConnections { lasts, .. } = fault
        {
            self.others_look_by(now + lasts * MS + OTHERS_LOOK);
        }
        match fault {
            Fault::Reset {
                client,
                late,
                unheard,
            } => {
                self.disturb(client, now, RECOVERS);
                let late = late.map(|late| late * MS);
                for at in self.of(client) {
                    self.connections[at].reset(late, now);
                    let heard = now + late.unwrap_or(0) + unheard * MS + 1;
                    self.schedule(heard, Event::HangsUp(at));
                }
            }
            Fault::Stall {
                client,
                there,
                back,
                lasts,
            } => {
                let until = now + lasts * MS;
                // Whoever gave it up meanwhile is on another one by then.
                self.disturb(client, until, 2 * RECOVERS + timeout);
                for at in self.of(client) {
                    self.connections[at].stall(there, back, until);
                }
            }
            Fault::Hole {
                client,
                there,
                back,
            } => {
                self.disturb(client, now, FOUND_OUT + timeout);
                for at in self.of(client) {
                    self.connections[at].swallow(there, back);
                    // Its system finds out at last.
                    self.schedule(now + 40_000 * MS, Event::HangsUp(at));
                }
            }
            Fault::NoConnections {
                client,
                refused,
                lasts,
            } => {
                let until = now + lasts * MS;
                self.disturb(client, until, FOUND_OUT);
                self.processes[client].no_connections = Some((refused, until));
            }
            Fault::Stop { client, lasts } => {
                let until = now + lasts * MS;
                self.disturb(client, until, RECOVERS + timeout);
                self.stop(client, until);
            }
            Fault::Kill { client, silently } => self.kill(client, silently),
            Fault::Restart { kept: true, .. } if self.is_down() => {}
            Fault::Restart { kept, down } => {
                let saved = if kept { self.saved() } else { None };
                if !kept {
                    self.checker.lost_data = true;
                    self.depose_all();
                    self.deposed_learn_by(now + down * MS + 3_000 * MS);
                }
                self.end_server(saved, down);
            }
            Fault::Failover { down, .. } => {
                let copy = self.copies.iter().position(|(of, _)| *of == number);
                let copy = copy.map(|at| self.copies.remove(at).1);
                self.checker.lost_data = true;
                self.depose_all();
                for op in &mut self.checker.ops {
                    // What it gave back the replica may have still, and nobody knows that it is another server.
                    op.is_left_behind |= op.began.is_some() || op.is_of_group() && op.is_waiting();
                }
                self.end_server(copy.map(crate::server::Snapshot::without_scripts), down);
            }
            Fault::StopServer { lasts } => {
                let until = now + lasts * MS;
                self.disturb_all(until, FOUND_OUT);
                self.stop_server(until);
            }
            Fault::Flush => {
                self.checker.lost_data = true;
                self.depose_all();
                // Whoever waits asks again by itself.
                self.disturb_all(now, FOUND_OUT);
                self.carry_out(&["FLUSHALL"]);
            }
            Fault::FlushScripts => self.carry_out(&["SCRIPT", "FLUSH"]),
            Fault::LoseLock { name } => {
                self.depose_all();
                self.disturb_all(now, FOUND_OUT);
                self.carry_out(&["DEL", &lock_key(name)]);
            }
            Fault::LoseQueue { name } => {
                self.disturb_all(now, FOUND_OUT);
                self.carry_out(&["DEL", &queue_key(name)]);
            }
            Fault::SetClock { by } => {
                if by > 0 {
                    self.depose_all();
                } else {
                    self.checker.went_back = true;
                }
                // Timers go by the time that they were told.
                self.disturb_all(now, FOUND_OUT);
                self.set_clock(by * 1_000);
            }
            Fault::Force { .. } => {}
        }
    }

    fn others_look_by(&mut self, by: u64) {
        for truth in &mut self.checker.truth {
            truth.told_until = truth.told_until.max(by);
        }
    }

    /// The connections that a client uses.
    fn of(&self, client: usize) -> Vec<usize> {
        let all = self.connections.iter().enumerate();
        all.filter(|(_, it)| it.process == client && it.is_in_use())
            .map(|(at, _)| at)
            .collect()
    }

    fn disturb_all(&mut self, from: u64, within: u64) {
        for process in 0..self.processes.len() {
            self.disturb(process, from, within);
        }
    }

    fn kill(&mut self, client: usize, silently: bool) {
        let now = self.now();
        self.processes[client].is_dead = true;
        for op in &mut self.checker.ops {
            op.is_dead |= op.acquire.client == client;
        }
        for at in self.of(client) {
            let heard = if silently { 40_000 * MS } else { 0 };
            if silently {
                self.connections[at].swallow(true, true);
            }
            self.schedule(now + heard + 1, Event::HangsUp(at));
        }
    }

    fn end_server(&mut self, keeps: Option<crate::server::Snapshot>, down: u64) {
        let now = self.now();
        self.disturb_all(now + down * MS, RECOVERS + 2_000 * MS);
        self.take_down(keeps, now + down * MS);
    }

    fn carry_out(&mut self, words: &[&str]) {
        let _ = self.command(words);
        self.pass_on();
        self.look_at_truth();
    }

    /// Those that hold a name now may be ended.
    pub(crate) fn depose_holders(&mut self, name: usize) {
        self.look_at_truth();
        let holders = self.checker.truth[name].holders.clone();
        self.depose(&holders);
    }
}
