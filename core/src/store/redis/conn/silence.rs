//! Which requests of a connection have waited too long for their answers, and when the connection is dead.

use std::time::Duration;

use super::{Conn, LATENESS};
use crate::clock::Moment;

impl<W> Conn<W> {
    /// When to look for [`overdue`](Self::overdue) requests, and whether the connection is [dead](Self::is_dead).
    pub(in crate::store::redis) fn next_timeout(&self) -> Option<Moment> {
        let end = self.end()?;
        Some(self.due.map_or(end, |due| due.min(end)))
    }

    /// The requests whose limit has passed by `now`, each once, with how long they have waited. From now on the connection is
    /// suspect: what must be known is asked elsewhere, and what this one still answers counts.
    pub(in crate::store::redis) fn overdue(&mut self, now: Moment) -> Vec<(&mut W, Duration)> {
        let mut overdue = Vec::new();
        self.due = None;
        for request in &mut self.under_way {
            if request.told {
                continue;
            }
            if request.limit <= now {
                request.told = true;
                let waited = now.since(request.sent);
                self.health.unanswered(waited);
                overdue.extend(request.waiter.as_mut().map(|waiter| (waiter, waited)));
            } else {
                let due = self.due.map_or(request.limit, |due| due.min(request.limit));
                self.due = Some(due);
            }
        }
        overdue
    }

    /// Whether the oldest request has had no answer for the whole command time-out.
    pub(in crate::store::redis) fn is_dead(&self, now: Moment) -> bool {
        self.end().is_some_and(|end| end <= now)
    }

    /// When it is dead unless something is answered; while the server waits for replicas, that is no silence.
    fn end(&self) -> Option<Moment> {
        let oldest = self.under_way.front()?;
        let lateness = self.blocked.map_or(Duration::ZERO, |_| LATENESS);
        Some(oldest.sent.max(self.unblocked) + self.health.silence() + lateness)
    }
}
