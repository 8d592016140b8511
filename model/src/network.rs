//! Connections and faults: what is carried out late or never, who is told what, and what a server forgets.

use crate::client::Life;
use crate::config::Config;
use crate::server::{Around, Server};
use crate::wire::{Command, Fifo, Kind, Late, Message, Owner, Owners};
use crate::world::{Action, World};

/// The server's end of a client's connection, and what is left of earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// The connection is subscribed to the client's inbox.
    pub(crate) subscribed: bool,
    /// The server has closed it, and the client has not read that yet.
    pub(crate) closing: bool,
    /// The server believes in an earlier subscription, which reaches nobody.
    pub(crate) haunted: bool,
    /// Commands left on connections that the client gave up. They may still be carried out, in order.
    pub(crate) late: Fifo<Command>,
}

impl Link {
    /// Whether the server believes that somebody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.subscribed || self.haunted
    }

    /// Whether a command of this owner may still be carried out late.
    pub(crate) fn has_late(&self, owner: Owner) -> bool {
        self.late.iter().any(|command| command.owner == owner)
    }

    /// A later renewal of this owner counts as failed.
    pub(crate) fn fail(&mut self, owner: Owner) {
        for command in self.late.iter_mut() {
            if let Kind::Renew { late, .. } = &mut command.kind
                && command.owner == owner
                && command.awaited
            {
                late.fail();
            }
        }
    }
}

/// Somebody who releases by force: who the holders were when they looked, and how often the release may be sent. An answer
/// may be lost, and then it is sent again; none is sent later than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Forcing {
    met: Owners,
    sends: u8,
}

/// See [`Forcing`].
const FORCES: u8 = 2;

impl World {
    /// The server carries out the next command of a live connection.
    pub(crate) fn execute(&mut self, at: usize, config: &Config) {
        let command = self.clients[at].out.pop().expect("there is one");
        // A client subscribes, confirmed, before it queues; the two travel as one here.
        self.links[at].subscribed |= matches!(command.kind, Kind::Wait { queue: true, .. });
        let mut answer = self.carry_out(command, config);
        let holds = self.server.is_held_by(command.owner);
        let learns = match answer {
            Message::Acquired(..) => command.awaited && holds,
            Message::Renewed { mine, .. } => mine && self.is_covered(command.owner),
            _ => false,
        };
        if learns {
            self.ghost.deposed.remove(command.owner);
        }
        self.note_lost(at, &mut answer, command, config);
        // Whoever gives something back in the background repeats that, too.
        if command.awaited || matches!(answer, Message::Released(_, true)) {
            self.clients[at].inbox.push(answer);
        }
    }

    /// The server carries out a command.
    fn carry_out(&mut self, command: Command, config: &Config) -> Message {
        let (freed, before) = (self.ghost.freed, self.server.holding());
        let waits = freed && self.has_live_waiter_in_queue();
        let answer = self.run(config, |server, around| server.run(command, around));
        if let Message::Acquired(_, token, _) = answer {
            self.ghost.issue(token);
        }
        let took = command.kind == Kind::Take && self.server.is_held_by(command.owner);
        self.ghost.barged |= waits && took;
        self.note_admitted(before, took, config);
        answer
    }

    fn execute_late(&mut self, at: usize, config: &Config) {
        let command = self.links[at].late.pop().expect("there is one");
        let answer = self.carry_out(command, config);
        let back =
            matches!(answer, Message::Acquired(..)) || self.server.queue.contains(&command.owner);
        if back && self.ghost.deposed.contains(command.owner) {
            self.ghost.outdated.insert(command.owner);
        }
        if command.awaited && self.clients[at].life != Life::Dead {
            self.clients[at].inbox.push(answer);
        }
    }

    /// Lets the server do something.
    fn run<T>(
        &mut self,
        config: &Config,
        work: impl FnOnce(&mut Server, &mut Around<'_>) -> T,
    ) -> T {
        let (clients, links) = (&mut self.clients, &self.links);
        let mut publish = |to: Owner, message: Message| {
            let (client, link) = (&mut clients[to.client()], &links[to.client()]);
            if link.subscribed {
                client.hear(message);
            }
            link.is_heard()
        };
        let hears = |of: Owner| links[of.client()].is_heard();
        let mut around = Around {
            config,
            clock: &mut self.clock,
            arrivals: &mut self.arrivals,
            publish: &mut publish,
            hears: &hears,
        };
        let was_held = self.server.lock.is_some();
        let result = work(&mut self.server, &mut around);
        if self.server.lock.is_some() {
            self.ghost.freed = false;
        } else {
            self.ghost.freed |= was_held && !self.server.queue.is_empty();
        }
        if self.server.lock.is_some() && !self.is_available(config) {
            self.ghost.free_ticks = 0;
        }
        if self.ghost.dead_ticks > 0 && !self.has_dead_head() {
            self.ghost.dead_ticks = 0;
        }
        result
    }

    /// The client reads what came first.
    pub(crate) fn deliver(&mut self, at: usize, config: &Config) {
        let message = self.clients[at].inbox.pop().expect("there is one");
        if message == Message::Closed {
            self.links[at].closing = false;
        }
        self.clients[at].on_message(message, config, &mut self.ghost);
    }

    /// What may happen to a client and its connection.
    pub(crate) fn network_actions(&self, at: usize, actions: &mut Vec<Action>) {
        let (client, link, faults) = (&self.clients[at], &self.links[at], &self.faults);
        let mut may = |when: bool, action: Action| {
            if when {
                actions.push(action);
            }
        };
        let running = client.life == Life::Running;
        let open = client.is_connected() && !link.closing;
        may(open && !client.out.is_empty(), Action::Execute(at));
        may(!link.late.is_empty(), Action::ExecuteLate(at));
        may(!link.late.is_empty(), Action::LoseLate(at));
        may(link.haunted, Action::NoticeGone(at));
        may(client.life == Life::Paused, Action::Resume(at));
        if client.is_connected() {
            may(running && faults.pauses > 0, Action::Pause(at));
            may(faults.kills > 0, Action::Kill(at));
            may(running && open && faults.drops > 0, Action::Drop(at));
            may(open && faults.closes > 0, Action::Close(at));
        }
        let push = client.inbox.front().is_some_and(Message::is_push);
        may(push && faults.losses > 0, Action::LoseMessage(at));
    }

    /// What may happen to the server.
    pub(crate) fn server_actions(&self, actions: &mut Vec<Action>) {
        let faults = &self.faults;
        let mut may = |when: bool, action: Action| {
            if when {
                actions.push(action);
            }
        };
        let begun = self.clients[0].is_connected();
        let held = self.server.lock.is_some();
        let foreign = self.server.is_owned_by(Owner::FOREIGN);
        let handing = self.server.is_owned_by(Owner::HANDING);
        let meets = held && !foreign && !handing && self.forcing.is_none();
        may(meets && faults.forces > 0, Action::Meet);
        may(self.forcing.is_some(), Action::Force);
        may(self.forcing.is_some(), Action::GiveUpForce);
        may(!held && faults.strangers > 0, Action::StrangerTakes);
        may(foreign, Action::StrangerReleases);
        may(begun && faults.flushes > 0, Action::Flush);
        let queue = !self.server.queue.is_empty();
        may(queue && faults.queues > 0, Action::LoseQueue);
        may(meets && faults.locks > 0, Action::LoseLock);
        let shared = self.server.is_shared();
        may(shared && faults.holders > 0, Action::LoseHolders);
        may(begun && faults.restarts > 0, Action::Restart);
        let follows = self.replica.is_none() && faults.failovers > 0;
        may(follows, Action::ReplicaStops);
        may(self.replica.is_some(), Action::Failover);
    }

    /// A fault happens.
    pub(crate) fn happen(&mut self, fault: Action, config: &Config) {
        match fault {
            Action::Kill(at) => {
                self.faults.kills -= 1;
                self.leave_behind(at);
                self.links[at].closing = false;
                self.clients[at].die();
            }
            Action::Drop(at) => {
                self.faults.drops -= 1;
                self.leave_behind(at);
                self.clients[at].on_broken(false, config, &mut self.ghost);
            }
            Action::Close(at) => {
                self.faults.closes -= 1;
                self.close(at);
            }
            Action::ExecuteLate(at) => self.execute_late(at, config),
            Action::LoseLate(at) => self.links[at].late.clear(),
            Action::NoticeGone(at) => self.links[at].haunted = false,
            Action::LoseMessage(at) => {
                self.faults.losses -= 1;
                self.clients[at].inbox.pop();
            }
            Action::Meet => {
                self.faults.forces -= 1;
                let met = self.server.holding();
                self.forcing = Some(Forcing { met, sends: FORCES });
            }
            Action::Force => self.force(config),
            Action::GiveUpForce => self.forcing = None,
            Action::StrangerTakes => {
                self.faults.strangers -= 1;
                self.ghost.barged |= self.ghost.freed && self.has_live_waiter_in_queue();
                self.ghost.freed = false;
                self.server.take_foreign();
                self.ghost.free_ticks = 0;
            }
            Action::StrangerReleases => self.server.lock = None,
            Action::Flush => {
                self.faults.flushes -= 1;
                self.depose();
                self.ghost.forget();
                self.ghost.freed = false;
                self.server = Server::default();
            }
            Action::LoseQueue => {
                self.faults.queues -= 1;
                self.ghost.forget();
                self.server.queue.clear();
            }
            Action::LoseLock => {
                self.faults.locks -= 1;
                self.depose();
                self.server.lock = None;
            }
            Action::LoseHolders => {
                self.faults.holders -= 1;
                self.depose();
                self.server.holders.clear();
            }
            Action::Restart => {
                self.faults.restarts -= 1;
                self.change_server(Server::default());
            }
            Action::ReplicaStops => {
                self.faults.failovers -= 1;
                self.replica = Some(self.server.clone());
            }
            Action::Failover => {
                if let Some(replica) = self.replica.take() {
                    // What it brings back is left to its TTL.
                    let server = &self.server;
                    let back =
                        |owner: &Owner| !server.is_held_by(*owner) && !server.queue.contains(owner);
                    let known = replica
                        .holding()
                        .iter()
                        .chain(replica.queue.iter().copied());
                    for owner in known.filter(back) {
                        self.ghost.lost.insert(owner);
                    }
                    self.change_server(replica);
                }
            }
            _ => unreachable!("{fault:?} is no fault"),
        }
    }

    /// The release by force, by the owner that was met, is carried out; perhaps not for the first time.
    fn force(&mut self, config: &Config) {
        let Forcing { met, sends } = self.forcing.expect("somebody forces");
        self.forcing = (sends > 1).then_some(Forcing {
            met,
            sends: sends - 1,
        });
        let before = self.server.holding();
        self.run(config, |server, around| server.force(met, around));
        let mut ended = before.without(self.server.holding());
        ended.remove(Owner::HANDING);
        self.ghost.overreached |= !ended.without(met).is_empty();
        self.ghost.deposed.extend(ended.without(ended.without(met)));
        self.note_admitted(before, false, config);
    }

    /// The holders' lock is taken from them, with the data.
    fn depose(&mut self) {
        self.ghost.deposed.extend(self.server.holding());
    }

    /// The client gives a connection up: what it had sent may still arrive, and the server may still believe in it.
    fn leave_behind(&mut self, at: usize) {
        let (client, link) = (&mut self.clients[at], &mut self.links[at]);
        if !link.closing {
            for mut command in client.out.iter() {
                // What a suspect connection still answers to a renewal counts.
                if let Kind::Renew {
                    cuts: false, late, ..
                } = &mut command.kind
                    && command.awaited
                {
                    if *late == Late::No {
                        link.fail(command.owner);
                        late.fail();
                    }
                } else {
                    command.awaited = false;
                }
                link.late.push(command);
            }
        }
        link.haunted |= std::mem::take(&mut link.subscribed);
    }

    /// The server closes a connection, and drops what it had not read.
    fn close(&mut self, at: usize) {
        let (client, link) = (&mut self.clients[at], &mut self.links[at]);
        link.subscribed = false;
        link.closing = true;
        client.out.forget_age();
        client.inbox.push(Message::Closed);
    }

    /// Another server, with other data, takes this one's place; no connection survives that.
    fn change_server(&mut self, server: Server) {
        if self.server.lock != server.lock || self.server.holders != server.holders {
            for owner in server.holding().iter() {
                if self.ghost.deposed.contains(owner) {
                    self.ghost.outdated.insert(owner);
                }
            }
            self.depose();
            self.ghost.restarted.extend(self.server.holding());
        }
        self.ghost.freed = false;
        self.server = server;
        for at in 0..self.clients.len() {
            self.links[at].late.clear();
            self.links[at].haunted = false;
            if self.clients[at].is_connected() && !self.links[at].closing {
                self.close(at);
            } else {
                self.clients[at].seeded = false;
            }
        }
    }
}
