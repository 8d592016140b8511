//! Waiting: who of a client's waiters looks when, and what they do on news. After `core/src/waiting.rs`.

use crate::client::{Ask, Client, Life, Phase, Task};
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::wire::{Kind, Message, Owner};

/// Others than the next in line look this much after the holder's time is up.
const JITTER: u8 = 1;

/// What a client was last told about the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pttl: Option<u8>,
    latest: u8,
    /// The first of all, if it is one of this client's.
    head: Option<Owner>,
}

impl Seen {
    fn look_in(self, first: Owner) -> u8 {
        let delay = if self.head == Some(first) { 0 } else { JITTER };
        let expiry = self.pttl.map_or(u8::MAX, |pttl| pttl + delay);
        self.latest.min(expiry)
    }

    pub(crate) fn tick(&mut self) {
        self.latest = self.latest.saturating_sub(1);
        self.pttl = self.pttl.map(|pttl| pttl.saturating_sub(1));
    }
}

impl Client {
    /// Whether a task is in the queue, or on its way there.
    pub(crate) fn is_waiting(&self, task: usize) -> bool {
        matches!(
            self.tasks[task].phase,
            Phase::Sleeping(_)
                | Phase::Asking {
                    ask: Ask::Queue,
                    ..
                }
        )
    }

    /// Whether a task waits that can notice what happens.
    pub(crate) fn has_live_waiter(&self) -> bool {
        self.life == Life::Running && (0..self.tasks.len()).any(|task| self.is_waiting(task))
    }

    /// Whether a waiter would be the first of this client. (Tasks begin in order, so they queue in order.)
    fn is_first(&self, task: usize) -> bool {
        !(0..task).any(|earlier| self.is_waiting(earlier) && self.tasks[earlier].placed)
    }

    /// Whether it is the one here who looks.
    pub(crate) fn watches(&self, task: usize) -> bool {
        self.tasks[task].placed && self.is_first(task)
    }

    /// A waiter was told how the name stands.
    pub(crate) fn see(&mut self, task: usize, pttl: Option<u8>, head: bool, config: &Config) {
        let owner = self.owner(task);
        let head = if head {
            Some(owner)
        } else {
            let known = self.seen.and_then(|seen| seen.head);
            known.filter(|head| *head != owner)
        };
        self.seen = Some(Seen {
            pttl,
            latest: config.check,
            head,
        });
    }

    /// It sleeps until there is news, or until it looks by itself.
    pub(crate) fn sleep(&mut self, task: usize, config: &Config) {
        let looks = self.is_first(task) && !config.has(Bug::NoFallback);
        let look_in = self.seen.map(|seen| seen.look_in(self.owner(task)));
        self.tasks[task].phase = Phase::Sleeping(look_in.filter(|_| looks));
        self.tidy_seen();
    }

    /// With one task, what was seen is in its timer; with no waiter, it is forgotten.
    fn tidy_seen(&mut self) {
        let tasks = self.tasks.len();
        if tasks == 1 || !(0..tasks).any(|task| self.is_waiting(task)) {
            self.seen = None;
        }
    }

    /// A waiter is gone; if it `watched`, the next one here takes over.
    pub(crate) fn leave_room(&mut self, task: usize, watched: bool, config: &Config) {
        self.tidy_seen();
        let next = (task + 1..self.tasks.len()).find(|next| self.is_waiting(*next));
        if let Some(next) = next
            && watched
            && matches!(self.tasks[next].phase, Phase::Sleeping(_))
            && !config.has(Bug::NobodyTakesOver)
        {
            self.sleep(next, config);
        }
    }

    /// The name was handed to `owner`: its lease begins, where a wait was answered recently, and counts from the sending of
    /// that; otherwise it is claimed. A grant for a waiter that is gone is passed on.
    pub(crate) fn on_grant(&mut self, owner: Owner, token: u8, config: &Config, ghost: &mut Ghost) {
        let task = self.task_of(owner);
        let Some(task) = task.filter(|task| self.is_waiting(*task)) else {
            if !task.is_some_and(|task| self.is_holding(task)) {
                self.send(owner, Kind::Release, false);
            }
            return;
        };
        if config.has(Bug::GrantIsLease) {
            self.hold(task, token, config.window, config, ghost);
            return;
        }
        let Task {
            answered, stale, ..
        } = self.tasks[task];
        if let Some(age) = answered
            && !stale
            && !config.has(Bug::TokenFromGrant)
        {
            self.hold(task, token, config.window - age, config, ghost);
            return;
        }
        let sleeping = matches!(self.tasks[task].phase, Phase::Sleeping(_));
        if sleeping || config.has(Bug::TwoWaits) {
            self.ask(task, Ask::Queue, config);
        }
        if let Phase::Asking { news, granted, .. } = &mut self.tasks[task].phase {
            *news |= !sleeping && !config.has(Bug::TwoWaits);
            if config.has(Bug::TokenFromGrant) || config.has(Bug::GrantOvertaken) {
                *granted = token;
            }
        }
    }

    /// Whether what it reads next is a grant that can begin a lease.
    pub(crate) fn may_begin_by_grant(&self) -> bool {
        let Some(Message::Grant(owner, _)) = self.inbox.front() else {
            return false;
        };
        let task = self.task_of(owner).map(|task| self.tasks[task]);
        task.is_some_and(|task| task.answered.is_some() && !task.stale)
    }

    /// Its waiters asked too long ago for a grant to begin a lease.
    pub(crate) fn forget_answered(&mut self) {
        for task in &mut self.tasks {
            task.answered = None;
        }
    }

    /// `owner` is the next, and has `pttl` to watch.
    pub(crate) fn on_next(&mut self, owner: Owner, pttl: Option<u8>, config: &Config) {
        let Some(task) = self.task_of(owner).filter(|task| self.is_waiting(*task)) else {
            return;
        };
        let sleeping = matches!(self.tasks[task].phase, Phase::Sleeping(_));
        if sleeping || self.seen.is_some() {
            self.seen = Some(Seen {
                pttl,
                latest: config.check,
                head: Some(owner),
            });
        }
        if sleeping {
            self.sleep(task, config);
        } else if let Phase::Asking { news, .. } = &mut self.tasks[task].phase {
            *news = true;
        }
        self.tidy_seen();
    }

    /// The task that has to look now.
    pub(crate) fn due(&self) -> Option<usize> {
        let due = |task: &Task| task.phase == Phase::Sleeping(Some(0));
        self.tasks.iter().position(due)
    }

    /// A waiter looks.
    pub(crate) fn look(&mut self, task: usize, config: &Config) {
        self.ask(task, Ask::Queue, config);
    }
}
