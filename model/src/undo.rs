//! Undoing an acquire that came to nothing, and coping with a connection that broke. After `core/src/undo.rs` and
//! `store/redis/link.rs`.

use crate::client::Client;
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::task::{Ask, Cut, Phase};
use crate::wire::{Kind, Message, Owner};

/// Cleaning up behind an acquire that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    /// Whose.
    pub(crate) owner: Owner,
    /// How.
    pub(crate) kind: JobKind,
}

/// See [`Job`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum JobKind {
    /// A release is on its way, and repeated until it is answered.
    Undo {
        /// Something went unanswered on a broken connection.
        stale: bool,
    },
    /// A release is to be sent once more, when whatever was left on a broken connection has been carried out or dropped.
    Again,
}

/// The command that undoes.
fn undoing(config: &Config) -> Kind {
    if config.has(Bug::CancelOnlyLeaves) {
        Kind::Leave
    } else {
        Kind::Release
    }
}

impl Client {
    /// Cancelled, or its wait ran out: undo it.
    pub(crate) fn cancel(&mut self, task: usize, config: &Config) {
        let owner = self.owner(task);
        let stale = self.tasks[task].stale;
        let first = self.is_first(task);
        self.forget_answers(owner);
        self.end(task);
        self.leave_room(first, config);
        self.send(owner, undoing(config), true);
        let kind = JobKind::Undo { stale };
        self.jobs.push(Job { owner, kind });
    }

    pub(crate) fn on_released(&mut self, owner: Owner, more: bool, config: &Config) {
        let undo = |job: &Job| job.owner == owner && matches!(job.kind, JobKind::Undo { .. });
        if more {
            // Dead waiters remain.
            let undoing = self.jobs.iter().any(undo);
            let releasing = self.task_of(owner).is_some();
            self.send(owner, Kind::Release, undoing || releasing);
        } else if let Some(at) = self.jobs.iter().position(undo) {
            let job = self.jobs.remove(at);
            if job.kind == (JobKind::Undo { stale: true }) {
                self.again(owner, config);
            }
        } else if let Some(task) = self.task_of(owner) {
            let stale = self.tasks[task].stale;
            self.end(task);
            if stale {
                self.again(owner, config);
            }
        }
    }

    pub(crate) fn again(&mut self, owner: Owner, config: &Config) {
        if !config.has(Bug::UndoOnce) {
            let kind = JobKind::Again;
            self.jobs.push(Job { owner, kind });
        }
    }

    /// A release is sent once more.
    pub(crate) fn release_again(&mut self, job: usize) {
        let job = self.jobs.remove(job);
        self.send(job.owner, Kind::Release, false);
    }

    // ---- the connection

    /// The connection is lost, and with it what was on its way: everything unanswered is sent again on a new one, every
    /// waiter asks again, everything held is renewed, and what may be left behind is remembered. Of a connection that is not
    /// `lost` but given up, late answers to renewals still count.
    pub(crate) fn on_broken(&mut self, lost: bool, config: &Config, ghost: &mut Ghost) {
        for command in self.out.iter() {
            // A release that nobody repeats: what it was to take back costs one TTL.
            if command.kind == Kind::Release && !command.awaited {
                ghost.lost.insert(command.owner);
            }
        }
        for message in self.inbox.iter() {
            if let Message::Grant(owner, _) = message
                && self.task_of(owner).is_none()
            {
                ghost.lost.insert(owner);
            }
        }
        self.seeded = false;
        for task in 0..self.tasks.len() {
            self.renewal_failed(task, !lost, config);
        }
        self.out.clear();
        self.inbox.clear();
        for at in 0..self.jobs.len() {
            if let JobKind::Undo { stale } = &mut self.jobs[at].kind {
                *stale = true;
                self.send(self.jobs[at].owner, undoing(config), true);
            }
        }
        for task in 0..self.tasks.len() {
            if self.tasks[task].stalled {
                continue;
            }
            match self.tasks[task].phase {
                Phase::Idle => {}
                Phase::Asking { ask, .. } => {
                    self.tasks[task].stale = true;
                    if self.tasks[task].cut == Cut::Sent {
                        self.tasks[task].cut = Cut::Left;
                    }
                    let ask = if ask == Ask::Take { Ask::Retake } else { ask };
                    self.ask(task, ask, config);
                    if let Phase::Asking { news, .. } = &mut self.tasks[task].phase {
                        *news = ask == Ask::Queue;
                    }
                }
                Phase::Sleeping(_) if config.has(Bug::NoRecheck) => {}
                Phase::Sleeping(_) => self.ask(task, Ask::Queue, config),
                Phase::Holding { .. } => {
                    let live = self.live_token(task).is_some();
                    if live && config.renews && !config.has(Bug::RenewedWhenDue) {
                        self.renew(task);
                    }
                }
                Phase::Releasing => self.send(self.owner(task), Kind::Release, true),
            }
        }
    }
}
