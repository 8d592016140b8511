//! Several locks at once on an event loop's connection: each is an operation of its own there, and what they come to together
//! is known with the last of them.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Awaiting, Begin, Done, Later, Port, Undertaking, acquiring, mixed_up};
use crate::acquire::Attempt;
use crate::client::Client;
use crate::error::Result;
use crate::group::{GroupRequest, LeaseGroup};
use crate::lease::Lease;
use crate::releasing::Begun;

/// Operations that end together.
pub(super) struct Several<W> {
    pub(super) waiter: Awaiting<W>,
    /// What each has come to.
    parts: Vec<Option<Done>>,
    /// How many have not ended.
    left: usize,
    whole: Whole,
}

/// What the operations are parts of.
enum Whole {
    Acquire {
        client: Client,
        request: GroupRequest,
        once: bool,
        started: Instant,
    },
    Release,
}

impl<W> Port<W> {
    /// Begins to acquire several locks; `waiter` is made with its number.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    pub fn acquire_all(
        &mut self,
        client: &Client,
        request: GroupRequest,
        once: bool,
        waiter: impl FnOnce(u64) -> W,
    ) -> Result<Begin<W, GroupRequest>> {
        if self.open.is_none() || !request.is_tried_at_once(once) {
            return Ok(Begin::Elsewhere(request));
        }
        let attempts: Vec<_> = request
            .each()
            .map(|each| Attempt::new(&client.inner, each.without_wait()).map(Box::new))
            .collect::<Result<_>>()?;
        let is_alone = self.begins_alone();
        let id = self.next_id();
        let mut several = Several {
            waiter: Awaiting::Here(waiter(id)),
            parts: attempts.iter().map(|_| None).collect(),
            left: attempts.len(),
            whole: Whole::Acquire {
                client: client.clone(),
                request,
                once,
                started: Instant::now(),
            },
        };
        for (at, mut attempt) in attempts.into_iter().enumerate() {
            if attempt.is_behind_own_waiters() {
                several.set(at, acquiring(attempt, true));
                continue;
            }
            let part = self.next_id();
            if let Some(open) = &mut self.open {
                let limit = attempt.first_limit();
                let (claim, ttl) = attempt.first();
                open.store.take(part, claim, ttl, limit);
            }
            let operation = Undertaking::Acquire {
                attempt,
                once: true,
            };
            self.under_way
                .insert(part, (operation, Awaiting::Part { of: id, at }));
        }
        Ok(self.begun_all(id, several, is_alone))
    }

    /// Begins to release a group; `waiter` is made with its number.
    pub fn release_all(
        &mut self,
        group: &Arc<LeaseGroup>,
        waiter: impl FnOnce(u64) -> W,
    ) -> Begin<W, ()> {
        if self.open.is_none() {
            return Begin::Elsewhere(());
        }
        let is_alone = self.begins_alone();
        let id = self.next_id();
        let mut several = Several {
            waiter: Awaiting::Here(waiter(id)),
            parts: group.leases().iter().map(|_| None).collect(),
            left: group.leases().len(),
            whole: Whole::Release,
        };
        for (at, lease) in group.leases().iter().enumerate() {
            match lease.begin_release() {
                Begun::Known(gave_back) => several.set(at, Done::Released(Ok(gave_back))),
                Begun::Busy => {
                    let group = group.clone();
                    let release = async move { group.leases()[at].release().await };
                    several.set(at, Done::Releasing(Box::pin(release)));
                }
                Begun::Turn(turn) if turn.is_later() => {
                    let release = async move { turn.send(false).await };
                    several.set(at, Done::Releasing(Box::pin(release)));
                }
                Begun::Turn(mut turn) => {
                    let part = self.next_id();
                    if let Some(open) = &mut self.open {
                        open.store.release(part, turn.request());
                    }
                    let operation = Undertaking::Release(turn);
                    self.under_way
                        .insert(part, (operation, Awaiting::Part { of: id, at }));
                }
            }
        }
        self.begun_all(id, several, is_alone)
    }

    /// What was begun together is under way, or has ended already.
    fn begun_all<T>(&mut self, id: u64, several: Several<W>, is_alone: bool) -> Begin<W, T> {
        if let Some(open) = &mut self.open {
            open.write(is_alone);
        }
        if several.left > 0 {
            self.several.insert(id, several);
            self.awaited += 1;
            return Begin::UnderWay(id);
        }
        let Several {
            waiter,
            parts,
            whole,
            ..
        } = several;
        match waiter {
            Awaiting::Here(waiter) => Begin::Done(waiter, come_to(whole, parts)),
            Awaiting::Part { .. } | Awaiting::Gone(_) => Begin::UnderWay(id),
        }
    }

    /// One of several has ended: what all of them come to, if it was the last.
    pub(super) fn end_part(
        &mut self,
        of: u64,
        at: usize,
        end: Done,
    ) -> Option<(Awaiting<W>, Done)> {
        let several = self.several.get_mut(&of)?;
        several.set(at, end);
        if several.left > 0 {
            return None;
        }
        let several = self.several.remove(&of)?;
        Some((several.waiter, come_to(several.whole, several.parts)))
    }
}

impl<W> Several<W> {
    fn set(&mut self, at: usize, end: Done) {
        self.parts[at] = Some(end);
        self.left -= 1;
    }
}

fn come_to(whole: Whole, parts: Vec<Option<Done>>) -> Done {
    let parts = parts.into_iter().flatten();
    match whole {
        Whole::Acquire {
            client,
            request,
            once,
            started,
        } => {
            let parts: Vec<_> = parts.map(Part::acquired).collect();
            if parts
                .iter()
                .all(|part| matches!(part, Part::Ended(Ok(Some(lease))) if lease.held()))
            {
                let leases = parts.into_iter().filter_map(Part::lease);
                return Done::AcquiredAll(Ok(Some(request.held(leases.collect()))));
            }
            let tried = parts.into_iter().map(Part::later).collect();
            Done::AcquiringAll(Box::pin(async move {
                client.go_on_with_all(request, once, started, tried).await
            }))
        }
        Whole::Release => {
            let parts: Vec<_> = parts.map(Part::released).collect();
            if parts.iter().all(|part| matches!(part, Part::Ended(Ok(_)))) {
                let all = parts
                    .iter()
                    .all(|part| matches!(part, Part::Ended(Ok(true))));
                return Done::Released(Ok(all));
            }
            let rest: Vec<_> = parts.into_iter().map(Part::later).collect();
            Done::Releasing(Box::pin(async move {
                let mut ended = join_all(rest).await.into_iter();
                ended.try_fold(true, |all, gave_back| Ok(all & gave_back?))
            }))
        }
    }
}

/// What one of several has come to.
enum Part<T> {
    Ended(Result<T>),
    GoesOn(Later<T>),
}

impl<T: Send + 'static> Part<T> {
    fn later(self) -> Later<T> {
        match self {
            Self::Ended(result) => Box::pin(ready(result)),
            Self::GoesOn(later) => later,
        }
    }
}

impl Part<Option<Lease>> {
    fn acquired(done: Done) -> Self {
        match done {
            Done::Acquired(result) => Self::Ended(result),
            Done::Acquiring(later) => Self::GoesOn(later),
            _ => Self::Ended(Err(mixed_up())),
        }
    }

    fn lease(self) -> Option<Lease> {
        match self {
            Self::Ended(Ok(lease)) => lease,
            Self::Ended(Err(_)) | Self::GoesOn(_) => None,
        }
    }
}

impl Part<bool> {
    fn released(done: Done) -> Self {
        match done {
            Done::Released(result) => Self::Ended(result),
            Done::Releasing(later) => Self::GoesOn(later),
            _ => Self::Ended(Err(mixed_up())),
        }
    }
}
