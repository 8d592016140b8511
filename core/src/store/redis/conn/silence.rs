//! Which requests of a connection have waited too long for their answers, and when the connection is dead.

use std::time::Duration;

use super::Conn;
use crate::clock::Moment;

impl<W> Conn<W> {
    /// When to look for [`overdue`](Self::overdue) requests, and whether the connection is [dead](Self::is_dead).
    pub(in crate::store::redis) fn next_timeout(&self) -> Option<Moment> {
        let oldest = self.under_way.front()?;
        let end = oldest.sent + self.health.silence();
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
                overdue.push((&mut request.waiter, waited));
            } else {
                let due = self.due.map_or(request.limit, |due| due.min(request.limit));
                self.due = Some(due);
            }
        }
        overdue
    }

    /// Whether the oldest request has had no answer for the whole command time-out.
    pub(in crate::store::redis) fn is_dead(&self, now: Moment) -> bool {
        let oldest = self.under_way.front();
        oldest.is_some_and(|oldest| now.since(oldest.sent) >= self.health.silence())
    }
}
