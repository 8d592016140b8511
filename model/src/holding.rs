//! Holding: the deadline, renewals, extensions and giving back. After `core/src/holding.rs` and `keeper.rs`.

use crate::client::{Client, Phase, Renewal};
use crate::config::{Bug, Config};
use crate::ghost::Ghost;
use crate::wire::{Kind, Owner};

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

    /// The keeper renews, or the user extends. The local deadline shrinks before anything is sent.
    pub(crate) fn renew(&mut self, task: usize, to: u8) {
        if let Phase::Holding {
            left, renewal, cap, ..
        } = &mut self.tasks[task].phase
        {
            let counts = cap.map_or(to, |cap| cap.min(to));
            *renewal = Some(Renewal {
                age: 0,
                ttl: to,
                counts,
            });
            *left = (*left).min(to);
            self.send(self.owner(task), Kind::Renew { ttl: to }, true);
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

    /// A renewal got no answer: its time ran out, or its connection broke. It may still be carried out.
    pub(crate) fn renewal_failed(&mut self, task: usize, config: &Config) {
        self.forget_answers(self.owner(task));
        if let Phase::Holding {
            renewal,
            cap,
            unsure,
            ..
        } = &mut self.tasks[task].phase
            && let Some(failed) = renewal.take()
        {
            *unsure = true;
            if failed.ttl < config.ttl && !config.has(Bug::ExtendForgets) {
                *cap = Some(failed.ttl);
            }
        }
    }

    /// Where a shorter extension has been carried out or dropped, nothing caps the deadline any more; `settled` tells of
    /// which owners nothing is left on connections given up.
    pub(crate) fn forget_caps(&mut self, settled: impl Fn(Owner) -> bool) {
        for task in 0..self.tasks.len() {
            let owner = self.owner(task);
            let under_way = self.out.iter().any(|command| {
                command.owner == owner
                    && !command.awaited
                    && matches!(command.kind, Kind::Renew { .. })
            });
            if let Phase::Holding { cap, .. } = &mut self.tasks[task].phase
                && settled(owner)
                && !under_way
            {
                *cap = None;
            }
        }
    }

    pub(crate) fn on_renewed(
        &mut self,
        owner: Owner,
        mine: bool,
        config: &Config,
        ghost: &mut Ghost,
    ) {
        let Some(task) = self.task_of(owner) else {
            return;
        };
        if let Phase::Holding {
            left,
            renewal,
            unsure,
            ..
        } = &mut self.tasks[task].phase
            && let Some(answered) = renewal.take()
        {
            if mine && *left == 0 && !config.has(Bug::RenewalRevives) {
                // Too late, though the server has extended it: it is lost, and to be given back.
                *unsure = true;
                self.lose(task, ghost);
            } else if mine {
                *left = answered.counts.saturating_sub(answered.age);
                *unsure = false;
            } else {
                *unsure = false;
                self.lose(task, ghost);
            }
        }
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
                Phase::Holding { left, renewal, .. } => {
                    if !clock_stands {
                        *left = left.saturating_sub(1);
                    }
                    if let Some(renewal) = renewal {
                        renewal.age = (renewal.age + 1).min(ttl);
                    }
                }
                Phase::Idle | Phase::Sleeping(None) | Phase::Releasing => {}
            }
        }
        if let Some(seen) = &mut self.seen {
            seen.tick();
        }
    }
}
