//! An attempt's first command, where the command goes by a connection other than the client's shared one.

use std::sync::Arc;
use std::time::Duration;

use super::Attempt;
use crate::claim::Claim;
use crate::error::{ErrorKind, Result};
use crate::holding::Start;
use crate::lease::Lease;
use crate::name::{LockId, Name};
use crate::store::{Asked, Failure};

/// What came of an attempt's first command.
pub(crate) enum First {
    Acquired(Lease),
    /// Someone else holds the lock, and the request was to be tried once.
    Held,
    /// Not decided yet: [`Attempt::run`] goes on.
    Undecided,
}

impl Attempt {
    /// Sends the first command, if the store can begin it at once.
    pub(crate) async fn take_at_once(&mut self) -> Result<First> {
        if self.is_behind_own_waiters() {
            return Ok(First::Undecided);
        }
        let limit = self.first_limit();
        let ttl = self.request.options().ttl;
        // Before the connection is chosen: one that comes in between shows by its standing.
        let standing = self.standing();
        let quick = self.client.store.quick();
        let taking = quick.and_then(|quick| quick.take_at_once(&self.claim, ttl));
        let Some(taking) = taking else {
            return Ok(First::Undecided);
        };
        self.sent_in = Some(standing);
        let taking = self.unless_closed(taking);
        let asked = match limit {
            Some(limit) => tokio::time::timeout(limit, taking)
                .await
                .unwrap_or_else(|_| Err(Failure::unanswered(self.unanswered()))),
            None => taking.await,
        };
        self.on_first(asked)
    }

    /// Sends the first command in the calling thread, if the store has a connection for that thread.
    pub(crate) fn take_blocking(&mut self, interrupted: &dyn Fn() -> bool) -> Result<First> {
        if self.is_behind_own_waiters() {
            self.contend();
            return Ok(First::Undecided);
        }
        let ttl = self.request.options().ttl;
        // Before the connection is chosen: one that comes in between shows by its standing.
        let standing = self.standing();
        let (quick, limit) = (self.client.store.quick(), self.first_limit());
        let asked =
            quick.and_then(|quick| quick.take_blocking(&self.claim, ttl, limit, interrupted));
        let Some(asked) = asked else {
            return Ok(First::Undecided);
        };
        self.sent_in = Some(standing);
        self.on_first(asked)
    }

    /// Notes the answer to the first command, which went by a connection other than the shared one.
    pub(crate) fn on_first(&mut self, asked: Result<Asked, Failure>) -> Result<First> {
        match asked {
            Ok(Asked::Acquired { token, sent, .. }) if !self.is_late(sent) => {
                Ok(First::Acquired(self.finish(&Start::for_ttl(token, sent))?))
            }
            Ok(Asked::Acquired { .. }) => {
                self.sent_in = Some(self.standing());
                Ok(First::Undecided)
            }
            Ok(Asked::Held(_)) => {
                self.on_held();
                if self.wait() == Some(Duration::ZERO) {
                    self.give_way();
                    Ok(First::Held)
                } else {
                    Ok(First::Undecided)
                }
            }
            Err(failure) => {
                self.sent_in = Some(self.standing());
                self.stale |= failure.is_unanswered();
                if failure.error.kind() == ErrorKind::Interrupted {
                    return Err(failure.error);
                }
                if !failure.is_temporary() {
                    self.refusal = Some(failure.error);
                } else if !failure.is_unanswered() {
                    self.last_words = Some(failure.error);
                }
                Ok(First::Undecided)
            }
        }
    }

    /// What to send as the first command on a connection other than the shared one: the claim and the TTL. From here on
    /// the command counts as sent.
    pub(crate) fn first(&mut self) -> (&Arc<Claim>, Duration) {
        self.sent_in = Some(self.standing());
        (&self.claim, self.request.options().ttl)
    }

    /// Whether the attempt is to wait and others of this client wait for the lock already: a take would be in vain, or
    /// unfair to them.
    pub(crate) fn is_behind_own_waiters(&self) -> bool {
        self.wait() != Some(Duration::ZERO) && self.client.room.has_queue(&self.claim.lock)
    }

    pub(crate) fn lock(&self) -> LockId {
        self.claim.lock.clone()
    }

    /// The lock's name.
    pub(crate) fn name(&self) -> Name {
        self.claim.lock.name().clone()
    }

    /// Whether the store was not asked for the lock yet.
    pub(crate) fn is_untried(&self) -> bool {
        !self.contended && self.sent_in.is_none()
    }

    /// Notes the current runtime as the client's, if the client has none yet.
    pub(crate) fn enter(&self) {
        self.client.enter();
    }
}
