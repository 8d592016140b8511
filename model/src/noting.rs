//! What the checker notes when the server has carried out a command: who was let in, and who is told what.

use crate::config::{Config, EXCLUSIVE};
use crate::holders::fits;
use crate::wire::{Command, Message, Owner, Owners};
use crate::world::World;

impl World {
    /// A script has let somebody in, for which nobody was to be passed over, and who is to have room. Not a take, which looks
    /// at no queue.
    pub(crate) fn note_admitted(&mut self, before: Owners, took: bool, config: &Config) {
        let holding = self.server.holding();
        for owner in holding.without(before).iter() {
            if owner == Owner::HANDING {
                continue;
            }
            let mut others = self.live_leases();
            others.extend(holding);
            others.remove(owner);
            let alone = |other| config.limit(other) == EXCLUSIVE;
            let room = others.is_empty() || fits(config.limit(owner), others.len());
            self.ghost.crowded |= !room || others.iter().any(alone);
            let place = |of: Owner| self.arrivals.iter().position(|arrived| *arrived == of);
            let arrived = place(owner).unwrap_or(usize::MAX);
            let passed = |waiter: &Owner| {
                let live = self.clients[waiter.client()].is_live_waiter(waiter.task());
                live && place(*waiter).is_some_and(|place| place < arrived)
            };
            self.ghost.overtook |= !took && self.server.queue.iter().any(passed);
        }
        if !holding.without(before).is_empty() {
            self.ghost.free_ticks = 0;
        }
    }

    /// Who has a lease by the own clock, of those that nobody deposed.
    fn live_leases(&self) -> Owners {
        let leases = self.clients.iter().flat_map(|client| {
            let live = (0..client.tasks.len()).filter(|task| client.live_token(*task).is_some());
            live.map(|task| client.owner(task))
        });
        leases
            .filter(|owner| !self.ghost.deposed.contains(*owner))
            .collect()
    }

    /// Whether the server has a lock for as long as its holder reckons.
    pub(crate) fn is_covered(&self, owner: Owner) -> bool {
        let reckons = self.clients[owner.client()].left(owner.task());
        self.server.lock.is_some() && self.server.left(owner) >= reckons
    }

    /// An answer that says whether a place was lost is on its way.
    pub(crate) fn note_lost(
        &mut self,
        at: usize,
        answer: &mut Message,
        command: Command,
        config: &Config,
    ) {
        let acquired = matches!(answer, Message::Acquired(..));
        let (Message::Acquired(_, _, lost) | Message::Held { lost, .. }) = answer else {
            return;
        };
        let client = &self.clients[at];
        if client.tasks.len() > 1 {
            if *lost && command.awaited {
                self.ghost.tell(command.owner);
            }
        } else if acquired || client.seeded || !client.begins_more(config) {
            *lost = false; // It has no others to tell, and learns nothing from it.
        }
    }

    /// Whether somebody is in the queue who can notice what happens.
    pub(crate) fn has_live_waiter_in_queue(&self) -> bool {
        let live = |owner: &Owner| self.clients[owner.client()].is_live_waiter(owner.task());
        self.server.queue.iter().any(live)
    }
}
