//! How long what properties bound has lasted, counted in ticks.

use crate::client::{Client, Life};
use crate::config::Config;
use crate::holders::fits;
use crate::properties::{LEARNS_WITHIN, PRUNES_WITHIN, is_under_way};
use crate::task::Phase;
use crate::wire::{Message, Owner};
use crate::world::World;

impl World {
    /// A tick has passed.
    pub(crate) fn count_ticks(&mut self, config: &Config) {
        let count = |lasts: bool, ticks: u8, most: u8| {
            if lasts { (ticks + 1).min(most + 1) } else { 0 }
        };
        let free = self.is_available(config);
        let (learning, dead, apart) = (
            self.is_learning(),
            self.has_dead_head(),
            self.are_waiters_apart(),
        );
        let ghost = &mut self.ghost;
        ghost.asked_again = 0;
        ghost.free_ticks = count(free, ghost.free_ticks, config.patience);
        ghost.learning = count(learning, ghost.learning, LEARNS_WITHIN);
        ghost.dead_ticks = count(dead, ghost.dead_ticks, config.check + PRUNES_WITHIN);
        ghost.apart_ticks = count(apart, ghost.apart_ticks, config.together);
    }

    /// Whether a live waiter could have the name: it is free, or shared and the first in the queue fits. Where that one is gone,
    /// [`crate::properties::DEAD_LEAVE`] bounds for how long it stays; where its acquire is over, the release that is under way.
    pub(crate) fn is_available(&self, config: &Config) -> bool {
        let server = &self.server;
        if server.lock.is_none() {
            return self.clients.iter().any(Client::has_live_waiter);
        }
        if !server.is_shared() || !self.clients.iter().any(Client::has_live_waiter) {
            return false;
        }
        let holding = server.holders.owners().len();
        let fits = |owner: Owner| fits(config.limit(owner), holding);
        let waits = |owner: &&Owner| is_under_way(self, **owner);
        match server.queue.iter().find(waits) {
            Some(first) => fits(*first),
            None => self.clients.iter().any(|client| {
                let mut tasks = 0..client.tasks.len();
                tasks.any(|task| {
                    let owner = client.owner(task);
                    client.is_live_waiter(task) && !server.is_held_by(owner) && fits(owner)
                })
            }),
        }
    }

    /// Whether a holder goes on whose server came back with other data, on a new connection.
    fn is_learning(&self) -> bool {
        self.clients.iter().zip(&self.links).any(|(client, link)| {
            let goes_on = |task: usize| {
                client.live_token(task).is_some()
                    && self.ghost.restarted.contains(client.owner(task))
            };
            client.life == Life::Running && !link.closing && (0..client.tasks.len()).any(goes_on)
        })
    }

    /// Whether the first in the queue is one whose process is gone, as the server knows, with a live waiter behind.
    pub(crate) fn has_dead_head(&self) -> bool {
        let head = self.server.queue.first().map(|head| head.client());
        let gone = |at: usize| self.clients[at].life == Life::Dead && !self.links[at].is_heard();
        head.is_some_and(gone) && self.has_live_waiter_in_queue()
    }

    /// Whether a client has a waiter that is not in the queue and does nothing about it, though another one of the same
    /// client was told that its place was lost.
    fn are_waiters_apart(&self) -> bool {
        self.ghost.forgot
            && self.clients.iter().zip(&self.links).any(|(client, link)| {
                let tasks = || 0..client.tasks.len();
                let told = tasks().any(|task| self.ghost.told.contains(client.owner(task)));
                let left_out = |task: usize| {
                    let owner = client.owner(task);
                    let news = |message: Message| matches!(message, Message::Grant(to, _) | Message::Next(to, _) if to == owner);
                    client.is_live_waiter(task)
                        && matches!(client.tasks[task].phase, Phase::Sleeping(_))
                        && !self.ghost.told.contains(owner)
                        && !self.server.queue.contains(&owner)
                        && !self.server.is_held_by(owner)
                        && !client.inbox.iter().any(news)
                };
                told && !link.closing && tasks().any(left_out)
            })
    }
}
