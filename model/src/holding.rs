//! Holding: the deadline, renewals, extensions and giving back. After `core/src/holding.rs` and `keeper.rs`.

use crate::client::Client;
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::task::{Phase, Renewal};
use crate::wire::{Command, Fifo, Kind, Late, Message, Owner};

impl Client {
    /// Whether the task has a lease, live or about to be noticed as lost.
    pub(crate) fn is_holding(&self, task: usize) -> bool {
        matches!(self.tasks[task].phase, Phase::Holding { .. })
    }

    /// Token of the task's live lease.
    pub(crate) fn live_token(&self, task: usize) -> Option<u8> {
        match self.tasks[task].phase {
            Phase::Holding { token, left, .. } if left > 0 => Some(token),
            _ => None,
        }
    }

    /// Ticks to the deadline of the task's lease.
    pub(crate) fn left(&self, task: usize) -> Option<u8> {
        match self.tasks[task].phase {
            Phase::Holding { left, .. } => Some(left),
            _ => None,
        }
    }

    /// A live lease with no renewal on its way, and ticks to its deadline.
    pub(crate) fn renewable(&self, task: usize) -> Option<u8> {
        match self.tasks[task].phase {
            Phase::Holding {
                left,
                renewal: None,
                ..
            } if left > 0 => Some(left),
            _ => None,
        }
    }

    /// The TTL that renewals of the task's lease set.
    pub(crate) fn ttl(&self, task: usize) -> u8 {
        match self.tasks[task].phase {
            Phase::Holding { ttl, .. } => ttl,
            _ => 0,
        }
    }

    /// The keeper renews.
    pub(crate) fn renew(&mut self, task: usize) {
        if let Phase::Holding { ttl, longer, .. } = self.tasks[task].phase {
            self.send_renewal(task, ttl, longer);
        }
    }

    /// The user extends. The local deadline shrinks before anything is sent, and answers to earlier renewals say nothing
    /// about what comes of it.
    pub(crate) fn extend(&mut self, task: usize, to: u8) {
        self.forget_late(task);
        if let Phase::Holding { left, .. } = &mut self.tasks[task].phase {
            *left = (*left).min(to);
        }
        self.send_renewal(task, to, true);
    }

    fn send_renewal(&mut self, task: usize, to: u8, cuts: bool) {
        if let Phase::Holding { renewal, cap, .. } = &mut self.tasks[task].phase {
            *renewal = Some(Renewal {
                age: 0,
                ttl: to,
                counts: cap.map_or(to, |cap| cap.min(to)),
                cuts,
            });
            let kind = Kind::Renew {
                ttl: to,
                cuts,
                late: Late::No,
            };
            self.send(self.owner(task), kind, true);
        }
    }

    /// Whether a renewal has been unanswered for a tick.
    pub(crate) fn renewal_is_late(&self, task: usize) -> bool {
        matches!(
            self.tasks[task].phase,
            Phase::Holding {
                renewal: Some(Renewal { age: 1.., .. }),
                ..
            }
        )
    }

    /// A renewal got no answer: its time ran out, or its connection was given up or lost. It may still be carried out,
    /// and unless the connection is lost its answer counts when it comes.
    pub(crate) fn renewal_failed(&mut self, task: usize, answers: bool, config: &Config) {
        let Phase::Holding {
            renewal: Some(failed),
            ..
        } = self.tasks[task].phase
        else {
            return;
        };
        if failed.cuts || !answers {
            self.forget_answers(self.owner(task));
        } else {
            self.expect_late(task);
        }
        if let Phase::Holding {
            renewal,
            late,
            cap,
            unsure,
            ..
        } = &mut self.tasks[task].phase
        {
            *renewal = None;
            *unsure = true;
            if failed.cuts && !config.has(Bug::ExtendForgets) {
                *cap = Some(cap.map_or(failed.ttl, |cap| cap.min(failed.ttl)));
            }
            *late = (answers && !failed.cuts).then_some(failed);
        }
    }

    /// The answer to the renewal under way will be a late one.
    fn expect_late(&mut self, task: usize) {
        let to = self.owner(task);
        for command in self.out.iter_mut() {
            if let Kind::Renew { late, .. } = &mut command.kind
                && command.owner == to
            {
                late.fail();
            }
        }
        for message in self.inbox.iter_mut() {
            if let Message::Renewed { owner, late, .. } = message
                && *owner == to
            {
                late.fail();
            }
        }
    }

    /// Whether an answer to a renewal of the owner's lease that counts as failed still matters.
    pub(crate) fn expects_late(&self, owner: Owner, kind: Kind) -> bool {
        let task = self.task_of(owner).map(|task| self.tasks[task].phase);
        let Some(Phase::Holding { late: last, .. }) = task else {
            return false;
        };
        match kind {
            Kind::Renew { late, .. } => last.is_some() || late == Late::Old,
            _ => false,
        }
    }

    /// Answers to renewals that failed earlier do not matter any more.
    fn forget_late(&mut self, task: usize) {
        let to = self.owner(task);
        let in_time = |kind| !matches!(kind, Kind::Renew { late, .. } if late != Late::No);
        for command in self.out.iter_mut() {
            command.awaited &= command.owner != to || in_time(command.kind);
        }
        self.inbox.retain(|message| {
            !matches!(message, Message::Renewed { owner, late, .. } if owner == to && late != Late::No)
        });
        if let Phase::Holding { late, .. } = &mut self.tasks[task].phase {
            *late = None;
        }
    }

    /// Forgets what can matter no more: caps, where what could shorten the lease has been carried out or dropped, and late
    /// answers that would not move the deadline; `late` are the commands on connections given up.
    pub(crate) fn tidy_leases(&mut self, left_behind: &Fifo<Command>) {
        for task in 0..self.tasks.len() {
            let owner = self.owner(task);
            let Phase::Holding {
                late, left, cap, ..
            } = self.tasks[task].phase
            else {
                continue;
            };
            if cap.is_some() {
                let cuts = |command: Command| {
                    let (Kind::Renew { cuts, .. } | Kind::Wait { cuts, .. }) = command.kind else {
                        return false;
                    };
                    cuts && command.owner == owner && !command.awaited
                };
                let settled = !self.out.iter().chain(left_behind.iter()).any(cuts);
                if settled && let Phase::Holding { cap, .. } = &mut self.tasks[task].phase {
                    *cap = None;
                }
            }
            let Some(late) = late else { continue };
            let on_its_way = |command: Command| {
                let last = matches!(
                    command.kind,
                    Kind::Renew {
                        late: Late::Last,
                        ..
                    }
                );
                command.owner == owner && last
            };
            let answered = |message: Message| {
                let last = matches!(
                    message,
                    Message::Renewed {
                        late: Late::Last,
                        ..
                    }
                );
                message.answers(owner) && last
            };
            let comes = self.out.iter().chain(left_behind.iter()).any(on_its_way)
                || self.inbox.iter().any(answered);
            if (!comes || late.counts < late.age + left)
                && let Phase::Holding { late, .. } = &mut self.tasks[task].phase
            {
                *late = None;
            }
        }
    }

    pub(crate) fn on_renewed(
        &mut self,
        (owner, mine, more): (Owner, bool, bool),
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let Some(task) = self.task_of(owner) else {
            return;
        };
        let Phase::Holding {
            left,
            renewal,
            unsure,
            longer,
            ttl,
            ..
        } = &mut self.tasks[task].phase
        else {
            return;
        };
        let Some(answered) = renewal.take() else {
            return;
        };
        let revives = config.has(Bug::RenewalRevives);
        if mine && *left == 0 && !revives {
            // Too late, though the server has extended it: it is lost, and to be given back.
            *unsure = true;
            self.lose(task, ghost);
        } else if mine {
            *left = answered.counts.saturating_sub(answered.age);
            *unsure = false;
            *longer = more && answered.ttl == *ttl;
            *ttl = answered.ttl;
        } else {
            self.told_it_is_gone(task, config, ghost);
        }
    }

    /// A renewal that had counted as failed was answered: `last`, if no later one counts as failed.
    pub(crate) fn on_late(
        &mut self,
        (owner, mine, last): (Owner, bool, bool),
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let Some(task) = self.task_of(owner) else {
            return;
        };
        let Phase::Holding {
            left,
            late,
            cap,
            unsure,
            ..
        } = &mut self.tasks[task].phase
        else {
            return;
        };
        let Some(answered) = *late else {
            // What was sent later has been answered since.
            if *left == 0 {
                *unsure = true;
                self.lose(task, ghost);
            }
            return;
        };
        if last {
            *late = None;
        }
        let counts = cap.map_or(answered.counts, |cap| cap.min(answered.counts));
        let then = counts.saturating_sub(answered.age);
        let says_nothing = last && then < *left;
        if *left == 0 {
            *unsure = true;
            self.lose(task, ghost);
        } else if !mine && !says_nothing {
            self.told_it_is_gone(task, config, ghost);
        } else if mine && last && !says_nothing {
            *left = then;
            *unsure = false;
        }
    }

    /// The server says that it is not the owner's any more.
    fn told_it_is_gone(&mut self, task: usize, config: &Config, ghost: &mut Ghost) {
        ghost.deposed.remove(self.owner(task));
        if config.has(Bug::DeposedGoesOn) {
            return;
        }
        if let Phase::Holding { unsure, .. } = &mut self.tasks[task].phase {
            *unsure = false;
        }
        self.lose(task, ghost);
    }

    /// A lease whose deadline has passed, and nobody has noticed yet.
    pub(crate) fn expired(&self) -> Option<usize> {
        let expired =
            |task: usize| matches!(self.tasks[task].phase, Phase::Holding { left: 0, .. });
        (0..self.tasks.len()).find(|task| expired(*task))
    }

    /// The lease is lost. Where a renewal went unanswered, its lock may outlive it: give it back.
    pub(crate) fn lose(&mut self, task: usize, ghost: &mut Ghost) {
        let owner = self.owner(task);
        let unsure = matches!(self.tasks[task].phase, Phase::Holding { unsure: true, .. });
        self.forget_answers(owner);
        self.end(task);
        ghost.lost.insert(owner);
        if unsure {
            self.send(owner, Kind::Release, false);
        }
    }

    /// The user gives it back: it is not held from now on.
    pub(crate) fn release(&mut self, task: usize) {
        let owner = self.owner(task);
        self.forget_answers(owner);
        self.tasks[task].phase = Phase::Releasing;
        self.send(owner, Kind::Release, true);
    }

    /// A tick passes. A lease's clock counts it also while the client is stopped.
    pub(crate) fn tick(&mut self, clock_stands: bool, config: &Config) {
        let ttl = config.ttl;
        for task in &mut self.tasks {
            if !clock_stands {
                let aged = task.answered.map(|age| age + 1);
                task.answered = aged.filter(|age| config.is_recent(*age));
            }
            match &mut task.phase {
                Phase::Asking { age, .. } => *age = (*age + 1).min(ttl),
                Phase::Sleeping(Some(look_in)) => *look_in = look_in.saturating_sub(1),
                Phase::Holding {
                    left,
                    renewal,
                    late,
                    ..
                } => {
                    if !clock_stands {
                        *left = left.saturating_sub(1);
                    }
                    for renewal in renewal.iter_mut().chain(late) {
                        renewal.age = (renewal.age + 1).min(renewal.ttl);
                    }
                }
                Phase::Idle | Phase::Sleeping(None) | Phase::Releasing => {}
            }
        }
        if let Some(seen) = &mut self.seen {
            seen.tick();
        }
        self.told_all = self.told_all.saturating_sub(1);
    }
}
