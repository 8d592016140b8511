//! A client: one connection, the tasks that acquire by it, and the jobs that clean up behind them.
//!
//! After `core/src/acquire.rs`. What waiters do is in `waiting.rs`, what holders do in `holding.rs`, and what is done behind
//! an acquire that is over in `undo.rs`.

use arrayvec::ArrayVec;

use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::task::{Ask, Cut, Phase, Task};
use crate::undo::Job;
use crate::waiting::Seen;
use crate::wire::{Command, Fifo, Kind, Late, Message, Owner, TASKS};
use crate::world::Tokens;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    number: u8,
    /// Whether it runs.
    pub(crate) life: Life,
    /// A wait was answered on this connection; a take may be used. (For a second only in the core. The server can only lose
    /// its data in that second behind a proxy that keeps connections open, or by FLUSHALL.)
    pub(crate) seeded: bool,
    /// Commands on their way to the server.
    pub(crate) out: Fifo<Command>,
    /// Answers and inbox messages on their way back.
    pub(crate) inbox: Fifo<Message>,
    /// What tasks do.
    pub(crate) tasks: ArrayVec<Task, TASKS>,
    /// What is done behind them.
    pub(crate) jobs: ArrayVec<Job, 6>,
    /// What was last heard about the name, where several tasks share it.
    pub(crate) seen: Option<Seen>,
    /// Ticks until all its waiters may be told again to ask.
    pub(crate) told_all: u8,
}

/// Whether a client runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// It does.
    Running,
    /// It is stopped; its clock goes on.
    Paused,
    /// It was killed.
    Dead,
}

impl Client {
    /// A client that has done nothing yet.
    pub(crate) fn new(number: usize, tasks: usize, warm: bool) -> Self {
        Self {
            number: u8::try_from(number).expect("few clients"),
            life: Life::Running,
            seeded: warm,
            out: Fifo::default(),
            inbox: Fifo::default(),
            tasks: (0..tasks).map(|_| Task::default()).collect(),
            jobs: ArrayVec::new(),
            seen: None,
            told_all: 0,
        }
    }

    /// The owner of a task's latest acquire.
    pub(crate) fn owner(&self, task: usize) -> Owner {
        let attempt = self.tasks[task].begun.saturating_sub(1);
        Owner::new(usize::from(self.number), task, attempt)
    }

    /// The task whose acquire or lease is `owner`'s, if it is not over.
    pub(crate) fn task_of(&self, owner: Owner) -> Option<usize> {
        let task = owner.task();
        (self.owner(task) == owner && self.tasks[task].phase != Phase::Idle).then_some(task)
    }

    pub(crate) fn send(&mut self, owner: Owner, kind: Kind, awaited: bool) {
        self.out.push(Command {
            owner,
            kind,
            awaited,
        });
    }

    // ---- acquiring

    /// A task begins to acquire. Behind waiters of its own client a take would be in vain, or unfair to them.
    pub(crate) fn begin(&mut self, task: usize, waits: bool, ask: Ask, config: &Config) {
        let line =
            (0..self.tasks.len()).any(|other| self.is_waiting(other) && self.tasks[other].placed);
        let ask = if waits && line { Ask::Queue } else { ask };
        self.tasks[task] = Task {
            begun: self.tasks[task].begun + 1,
            waits,
            ..Task::default()
        };
        self.ask(task, ask, config);
    }

    pub(crate) fn ask(&mut self, task: usize, ask: Ask, config: &Config) {
        let kind = match ask {
            Ask::Take if config.has(Bug::CountApart) => Kind::Set,
            Ask::Take => Kind::Take,
            Ask::Retake => Kind::Wait {
                queue: false,
                placed: false,
                cuts: false,
            },
            Ask::Queue => {
                let Task { placed, cut, .. } = &mut self.tasks[task];
                let cuts = *placed && *cut == Cut::No;
                if cuts {
                    *cut = Cut::Sent;
                }
                Kind::Wait {
                    queue: true,
                    placed: *placed,
                    cuts,
                }
            }
        };
        self.tasks[task].answered = None;
        self.tasks[task].phase = Phase::Asking {
            ask,
            age: 0,
            news: false,
            granted: 0,
        };
        self.send(self.owner(task), kind, true);
    }

    /// The client reads what came first.
    pub(crate) fn on_message(&mut self, message: Message, config: &Config, ghost: &mut Ghost) {
        match message {
            Message::Acquired(owner, token, lost) => {
                self.on_acquired((owner, token, lost), config, ghost);
            }
            Message::Unseeded(owner) if config.has(Bug::CountApart) => {
                self.send(owner, Kind::Count, true);
            }
            Message::Unseeded(owner) => {
                if let Some(task) = self.asking(owner) {
                    self.ask(task, Ask::Retake, config);
                }
            }
            Message::Held {
                owner,
                pttl,
                head,
                lost,
            } => self.on_held((owner, pttl, head, lost), config, ghost),
            Message::More(owner) => {
                if let Some(task) = self.asking(owner)
                    && let Phase::Asking { ask, .. } = self.tasks[task].phase
                {
                    self.ask(task, ask, config);
                }
            }
            Message::Renewed {
                owner,
                mine,
                longer,
                late: Late::No,
            } => self.on_renewed((owner, mine, longer), config, ghost),
            Message::Renewed {
                owner, mine, late, ..
            } => self.on_late((owner, mine, late == Late::Last), config, ghost),
            Message::Released(owner, more) => self.on_released(owner, more, config),
            Message::Grant(owner, token) => self.on_grant(owner, token, config, ghost),
            Message::Next(owner, pttl) => self.on_next(owner, pttl, config),
            Message::Closed => self.on_broken(true, config, ghost),
        }
    }

    /// A message reaches its inbox. A client that is stopped reads all at once later, and then only the last of several
    /// notices in a row counts.
    pub(crate) fn hear(&mut self, message: Message) {
        if let (Life::Paused, Message::Next(owner, _)) = (self.life, message) {
            let last = self.inbox.last();
            if matches!(last, Some(Message::Next(before, _)) if before == owner) {
                self.inbox.pop_last();
            }
        }
        self.inbox.push(message);
    }

    fn asking(&self, owner: Owner) -> Option<usize> {
        let task = self.task_of(owner)?;
        matches!(self.tasks[task].phase, Phase::Asking { .. }).then_some(task)
    }

    fn on_acquired(
        &mut self,
        (owner, token, lost): (Owner, u8, bool),
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let Some(task) = self.asking(owner) else {
            return;
        };
        let Phase::Asking {
            ask, age, granted, ..
        } = self.tasks[task].phase
        else {
            return;
        };
        self.seeded |= ask != Ask::Take;
        self.answered_cut(task);
        let hasty = config.has(Bug::DeadlineFromAnswer);
        if !hasty && 2 * age > config.ttl {
            // What is left of the lease is too little: claim it again.
            let ask = if ask == Ask::Queue { ask } else { Ask::Retake };
            self.ask(task, ask, config);
            return;
        }
        if lost {
            self.look_again(task, config, ghost);
        }
        let token = if granted == 0 { token } else { granted };
        let left = if hasty { config.ttl } else { config.ttl - age };
        self.hold(task, token, left, config, ghost);
    }

    /// The look that may cut the claim window is not under way any more.
    fn answered_cut(&mut self, task: usize) {
        let cut = &mut self.tasks[task].cut;
        if *cut == Cut::Sent {
            *cut = Cut::No;
        }
    }

    pub(crate) fn hold(
        &mut self,
        task: usize,
        token: u8,
        left: u8,
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let first = self.is_first(task);
        let capped = self.tasks[task].cut == Cut::Left && !config.has(Bug::ClaimUncapped);
        self.tasks[task].phase = Phase::Holding {
            token,
            left,
            ttl: config.ttl,
            renewal: None,
            late: None,
            longer: false,
            cap: capped.then_some(config.ttl),
            unsure: false,
        };
        self.tasks[task].answered = None;
        self.tasks[task].cut = Cut::No;
        let limit = config.limit(self.owner(task));
        ghost.hand_out(self.owner(task), token, limit);
        self.leave_room(first, config);
    }

    fn on_held(
        &mut self,
        (owner, pttl, head, lost): (Owner, Option<u8>, bool, bool),
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let Some(task) = self.asking(owner) else {
            return;
        };
        let Phase::Asking {
            ask,
            age,
            news,
            granted,
        } = self.tasks[task].phase
        else {
            return;
        };
        // Who only looks again has written nothing.
        let looked = self.tasks[task].placed;
        self.seeded |= ask != Ask::Take && (!looked || lost);
        self.answered_cut(task);
        if ask != Ask::Queue {
            if self.tasks[task].waits {
                self.ask(task, Ask::Queue, config);
            } else {
                let again = self.tasks[task].stale && !config.has(Bug::TryForgets);
                self.end(task);
                if again {
                    self.again(owner, config);
                }
            }
            return;
        }
        if lost {
            self.look_again(task, config, ghost);
        }
        self.tasks[task].placed = true;
        self.see(task, pttl, head, config);
        if granted != 0 && config.has(Bug::GrantOvertaken) && config.is_recent(age) {
            self.hold(task, granted, config.window - age, config, ghost);
        } else if news {
            self.ask(task, Ask::Queue, config);
            self.tidy_room();
        } else {
            self.tasks[task].answered = Some(age).filter(|age| config.is_recent(*age));
            self.sleep(task, config);
        }
    }

    /// The acquire or the lease is over, and nothing of it is left but jobs.
    pub(crate) fn end(&mut self, task: usize) {
        self.tasks[task] = Task {
            begun: self.tasks[task].begun,
            ..Task::default()
        };
    }

    /// Nobody waits for answers to `owner` any more.
    pub(crate) fn forget_answers(&mut self, owner: Owner) {
        for command in self.out.iter_mut() {
            command.awaited &= command.owner != owner;
        }
        self.inbox.retain(|message| !message.answers(owner));
    }

    /// Whether nothing of the task is under way, but jobs.
    pub(crate) fn is_idle(&self, task: usize) -> bool {
        self.tasks[task].phase == Phase::Idle
    }

    /// Whether an acquire is under way that can be cancelled.
    pub(crate) fn may_cancel(&self, task: usize) -> bool {
        matches!(
            self.tasks[task].phase,
            Phase::Asking { .. } | Phase::Sleeping(_)
        ) && !self.tasks[task].stalled
    }

    /// Every token that this client knows or is being told.
    pub(crate) fn tokens<'a>(&'a mut self, tokens: &mut Tokens<'a>) {
        for task in &mut self.tasks {
            match &mut task.phase {
                Phase::Holding { token, .. } => tokens.push(token),
                Phase::Asking { granted, .. } => tokens.push(granted),
                Phase::Idle | Phase::Sleeping(_) | Phase::Releasing => {}
            }
        }
        for message in self.inbox.iter_mut() {
            if let Message::Acquired(_, token, _) | Message::Grant(_, token) = message {
                tokens.push(token);
            }
        }
    }

    /// Whether a task has not begun all its acquires.
    pub(crate) fn begins_more(&self, config: &Config) -> bool {
        self.tasks.iter().any(|task| task.begun < config.attempts)
    }

    /// Whether it has ever used its connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.life != Life::Dead && self.tasks.iter().any(|task| task.begun > 0)
    }

    /// It is killed.
    pub(crate) fn die(&mut self) {
        let mut dead = Self::new(usize::from(self.number), self.tasks.len(), false);
        dead.life = Life::Dead;
        for (task, dead) in self.tasks.iter().zip(&mut dead.tasks) {
            dead.begun = task.begun;
        }
        *self = dead;
    }
}
