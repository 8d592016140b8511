//! Waiting: who of a client's waiters looks when, and what they do on news. After `core/src/waiting.rs`.

use crate::client::{Client, Life};
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::properties::ASKS_AGAIN;
use crate::task::{Ask, Cut, Phase, Task};
use crate::wire::{Kind, Message, Owner};

/// Others than the next in line look this much after the holder's time is up, the first of a client before its second.
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
    /// When a waiter looks that stands behind `rank` others of its client.
    fn look_in(self, waiter: Owner, rank: u8) -> u8 {
        let is_head = self.head == Some(waiter);
        let (delay, rank) = if is_head { (0, 0) } else { (JITTER, rank) };
        let expiry = self.pttl.map_or(u8::MAX, |pttl| pttl + delay + rank);
        expiry.min(self.latest + rank)
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
        (0..self.tasks.len()).any(|task| self.is_live_waiter(task))
    }

    /// Whether a task waits, and can notice what happens.
    pub(crate) fn is_live_waiter(&self, task: usize) -> bool {
        self.life == Life::Running && self.is_waiting(task) && !self.tasks[task].stalled
    }

    /// How many waiters of this client are before it. (Tasks begin in order, so they queue in order.)
    fn rank(&self, task: usize) -> u8 {
        let before = |earlier: &usize| self.is_waiting(*earlier) && self.tasks[*earlier].placed;
        u8::try_from((0..task).filter(before).count()).expect("few")
    }

    /// A waiter is not polled any more, and not cancelled either: it does nothing, and hears nothing.
    pub(crate) fn stall(&mut self, task: usize) {
        self.forget_answers(self.owner(task));
        self.tasks[task].stalled = true;
        self.tasks[task].answered = None;
        self.tasks[task].phase = Phase::Sleeping(None);
    }

    /// An answer to `task` says that `queued` wait. Where those are fewer than there ought to be of this client alone, the
    /// queue was lost: all others ask again. A waiter that was told to is not counted until it has an answer, since it may
    /// never ask.
    pub(crate) fn count_listed(
        &mut self,
        task: usize,
        queued: u8,
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let counts = |task: &&Task| {
            let stays = config.has(Bug::UnpolledCount) && task.placed;
            task.listed || stays && matches!(task.phase, Phase::Sleeping(_) | Phase::Asking { .. })
        };
        let listed = self.tasks.iter().filter(counts).count();
        if listed <= usize::from(queued) || config.has(Bug::QueueForgotten) {
            return;
        }
        for other in (0..self.tasks.len()).filter(|other| *other != task) {
            let listed = counts(&&self.tasks[other]);
            self.tasks[other].listed = false;
            if !listed || self.tasks[other].stalled {
                continue;
            }
            ghost.asked_again = (ghost.asked_again + 1).min(ASKS_AGAIN + 1);
            match &mut self.tasks[other].phase {
                Phase::Sleeping(_) => self.ask(other, Ask::Queue, config),
                Phase::Asking { news, .. } => *news = true,
                _ => {}
            }
        }
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
        self.set_timers(config);
    }

    /// It sleeps until there is news, or until it looks by itself.
    pub(crate) fn sleep(&mut self, task: usize, config: &Config) {
        self.tasks[task].phase = Phase::Sleeping(None);
        self.set_timers(config);
        self.tidy_seen();
    }

    /// Every waiter that sleeps looks by what was last seen: the next in line first, then the others one by one.
    fn set_timers(&mut self, config: &Config) {
        let Some(seen) = self.seen else { return };
        for task in 0..self.tasks.len() {
            let (owner, rank) = (self.owner(task), self.rank(task));
            let sleeps_on = config.has(Bug::NoFallback)
                || rank > 0 && config.has(Bug::FirstWatches)
                || rank > 0 && seen.head != Some(owner) && config.has(Bug::OthersSleep);
            let looks = !self.tasks[task].stalled && !sleeps_on;
            if let Phase::Sleeping(look_in) = &mut self.tasks[task].phase {
                *look_in = looks.then(|| seen.look_in(owner, rank));
            }
        }
    }

    /// With one task, what was seen is in its timer; with no waiter, it is forgotten.
    fn tidy_seen(&mut self) {
        let tasks = self.tasks.len();
        if tasks == 1 || !(0..tasks).any(|task| self.is_waiting(task)) {
            self.seen = None;
        }
    }

    /// A waiter is gone; those behind it here take over.
    pub(crate) fn leave_room(&mut self, config: &Config) {
        self.tidy_seen();
        self.set_timers(config);
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
        self.tasks[task].listed = false;
        if self.tasks[task].stalled {
            return;
        }
        if self.tasks[task].cut == Cut::No && config.ttl < config.window {
            self.tasks[task].cut = Cut::Heard;
        }
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
        task.is_some_and(|task| task.answered.is_some() && !task.stale && !task.stalled)
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
        self.set_timers(config);
        if let Phase::Asking { news, .. } = &mut self.tasks[task].phase {
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
