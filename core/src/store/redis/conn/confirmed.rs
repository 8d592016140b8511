//! Requests that are answered only when replicas have what they write: one WAIT for all that are written together.

use redis::Value;

use super::{Arrivals, Completed, Conn};
use crate::clock::Moment;

impl<W> Conn<W> {
    /// Whether a WAIT is to be written: one at a time for all that was begun since the last, since the server answers nothing
    /// else on the connection meanwhile, and several in a row would take the time of each.
    pub(super) fn wants_wait(&self) -> bool {
        self.to_confirm.is_some() && self.blocked.is_none()
    }

    pub(super) fn wait_for_replicas(&mut self) {
        if !self.wants_wait() {
            return;
        }
        let Some(confirming) = self.to_confirm.take() else {
            return;
        };
        self.out.commands = 0;
        confirming.pack(&mut self.out);
        let (now, lasts) = (Moment::now(), confirming.lasts());
        self.push(None, now, lasts + self.health.patience(), false);
        self.blocked = Some(now + lasts);
    }

    /// A WAIT was answered: with it all that waited for it, each with the reply to it last.
    pub(super) fn confirmed(&mut self, reply: &Value, arrived: &mut Arrivals<W>) {
        for request in self.under_way.drain(..self.unconfirmed) {
            let Some(waiter) = request.waiter else {
                continue;
            };
            let mut replies = request.replies;
            replies.push(reply.clone());
            arrived.answers.push(Completed {
                waiter,
                sent: request.sent,
                told: request.told,
                replies,
            });
        }
        self.unconfirmed = 0;
        self.unblocked = self.heard;
        self.blocked = None;
    }
}
