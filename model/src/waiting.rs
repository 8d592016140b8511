//! Waiting: who of a client's waiters looks when, and what they do on news. After `core/src/waiting.rs`.

use crate::client::{Client, Life};
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::task::{Ask, Phase, Task};
use crate::wire::{Kind, Message, Owner};

/// Others than the next in line look this much after the holder's time is up, the first of a client before its second.
const JITTER: i8 = 1;

/// However long ago a time was, a waiter that looks so many ticks after it looks now.
const LONG_AGO: i8 = -4;

/// What a client was last told about the name: in how many ticks, also when those have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// The holder's time is up.
    expires: Option<i8>,
    /// Someone looks however long that is.
    latest: i8,
    /// The first of all, if it is one of this client's.
    head: Option<Owner>,
}

impl Seen {
    fn new(pttl: Option<u8>, head: Option<Owner>, config: &Config) -> Self {
        let signed = |ticks: u8| i8::try_from(ticks).expect("few");
        Self {
            expires: pttl.map(signed),
            latest: signed(config.check),
            head,
        }
    }

    /// When a waiter looks that stands behind `rank` others of its client.
    fn look_in(self, waiter: Owner, rank: i8) -> u8 {
        let is_head = self.head == Some(waiter);
        let (delay, rank) = if is_head { (0, 0) } else { (JITTER, rank) };
        let expiry = self.expires.map_or(i8::MAX / 2, |expires| expires + delay);
        let look_in = expiry.min(self.latest) + rank;
        u8::try_from(look_in.max(0)).expect("not negative")
    }

    pub(crate) fn tick(&mut self) {
        for ticks in [&mut self.latest].into_iter().chain(&mut self.expires) {
            *ticks = (*ticks - 1).max(LONG_AGO);
        }
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
    fn rank(&self, task: usize) -> i8 {
        let before = |earlier: &usize| self.is_placed(*earlier);
        i8::try_from((0..task).filter(before).count()).expect("few")
    }

    /// A waiter is not polled any more, and not cancelled either: it does nothing, and hears nothing.
    pub(crate) fn stall(&mut self, task: usize) {
        self.forget_answers(self.owner(task));
        self.tasks[task].stalled = true;
        self.tasks[task].answered = None;
        self.tasks[task].phase = Phase::Sleeping(None);
    }

    /// The place of `task` in the queue was lost: all others here that have one ask again, to get theirs back; but not all over
    /// again within the time that `config.again` says.
    pub(crate) fn look_again(&mut self, task: usize, config: &Config, ghost: &mut Ghost) {
        let limited = self.told_all > 0 && !config.has(Bug::AllTellAll);
        if limited || config.has(Bug::QueueForgotten) {
            return;
        }
        self.told_all = config.again;
        for other in 0..self.tasks.len() {
            let told = other != task || config.has(Bug::AskerToldToo);
            if !told || !self.is_placed(other) || self.tasks[other].stalled {
                continue;
            }
            ghost.ask_again(config);
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
        self.seen = Some(Seen::new(pttl, head, config));
    }

    /// It sleeps until there is news, or until it looks by itself.
    pub(crate) fn sleep(&mut self, task: usize, config: &Config) {
        self.tasks[task].phase = Phase::Sleeping(None);
        self.set_timer(task, config);
        self.tidy_room();
    }

    /// A waiter that falls asleep, or wakes and sleeps on, looks by what was last seen: the next in line first, then the others
    /// one by one. What is seen while it sleeps counts when it wakes.
    fn set_timer(&mut self, task: usize, config: &Config) {
        let Some(seen) = self.seen else { return };
        let (owner, rank) = (self.owner(task), self.rank(task));
        let sleeps_on = config.has(Bug::NoFallback)
            || rank > 0 && config.has(Bug::FirstWatches)
            || rank > 0 && seen.head != Some(owner) && config.has(Bug::OthersSleep);
        let looks = !self.tasks[task].stalled && !sleeps_on;
        if let Phase::Sleeping(look_in) = &mut self.tasks[task].phase {
            *look_in = looks.then(|| seen.look_in(owner, rank));
        }
    }

    /// With one task, what was seen is in its timer, and nobody else is to be told; with no waiter, it is forgotten.
    pub(crate) fn tidy_room(&mut self) {
        let tasks = self.tasks.len();
        if tasks == 1 || !(0..tasks).any(|task| self.is_waiting(task)) {
            self.seen = None;
        }
        if tasks == 1 || !(0..tasks).any(|task| self.is_placed(task)) {
            self.told_all = 0;
        }
    }

    /// Whether a task waits, as far as its client knows in the queue.
    fn is_placed(&self, task: usize) -> bool {
        self.is_waiting(task) && self.tasks[task].placed
    }

    /// Whether it is the first of those.
    pub(crate) fn is_first(&self, task: usize) -> bool {
        self.tasks[task].placed && self.rank(task) == 0
    }

    /// A waiter is gone; if it was the `first` here, the one behind it wakes, and takes over.
    pub(crate) fn leave_room(&mut self, first: bool, config: &Config) {
        self.tidy_room();
        let next = (0..self.tasks.len()).find(|task| self.is_placed(*task));
        if let Some(next) = next.filter(|_| first) {
            self.set_timer(next, config);
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
        if self.tasks[task].stalled {
            return;
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
            self.seen = Some(Seen::new(pttl, Some(owner), config));
        }
        self.set_timer(task, config);
        if let Phase::Asking { news, .. } = &mut self.tasks[task].phase {
            *news = true;
        }
        self.tidy_room();
    }

    /// The task that has to look now.
    pub(crate) fn due(&self) -> Option<usize> {
        let due = |task: &Task| task.phase == Phase::Sleeping(Some(0));
        self.tasks.iter().position(due)
    }

    /// A waiter wakes: it looks, or sleeps on where someone has looked meanwhile.
    pub(crate) fn look(&mut self, task: usize, config: &Config) {
        self.set_timer(task, config);
        if self.tasks[task].phase == Phase::Sleeping(Some(0)) {
            self.ask(task, Ask::Queue, config);
        }
    }
}
