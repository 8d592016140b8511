//! Giving a lease back: until the store has answered, and in the background where nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::claim::Claim;
use crate::error::{ErrorKind, Result};
use crate::holding::{GiveBack, Holding};
use crate::observe::LockEventKind;
use crate::seeded::{Bug, is_seeded};
use crate::shared::ClientCore;
use crate::store::{AtOnce, BoxFuture, Failure, Ownership, Scope};
use crate::undo;

/// What was under way to a store that was succeeded is answered by then.
const SUCCESSION: Duration = Duration::from_secs(1);
/// So many leases are given back again at the same time.
const AT_ONCE: usize = 64;

/// How a release begins.
pub(crate) enum Begun {
    /// Known already: whether this lease gave the lock back.
    Known(bool),
    /// Another release of this lease is under way: wait for its end.
    Busy,
    /// The release has to be sent.
    Turn(Turn),
}

/// The turn of one release of a lease; nobody else has one meanwhile. Where it is dropped on the way, the release goes on
/// in the background.
pub(crate) struct Turn {
    client: Arc<ClientCore>,
    holding: Arc<Holding>,
    /// The release was sent, and may have been carried out.
    sent: bool,
    over: bool,
}

/// What came of a release that was sent once.
pub(crate) enum Answered {
    Done(Result<bool>),
    /// The release has to be sent again; `unanswered`: it may have been carried out already.
    Again {
        turn: Turn,
        unanswered: bool,
    },
}

impl Turn {
    pub(crate) fn new(client: &Arc<ClientCore>, holding: &Arc<Holding>) -> Self {
        Self {
            client: client.clone(),
            holding: holding.clone(),
            sent: false,
            over: false,
        }
    }

    /// What to send on a connection other than the shared one.
    pub(crate) fn request(&mut self) -> &Arc<Claim> {
        self.sent = true;
        &self.holding.claim
    }

    /// Whether the lock stays taken for a while, which only the shared connection can say.
    pub(crate) fn is_later(&self) -> bool {
        self.holding.kept_for().is_some()
    }

    /// Sends the release until it is answered, at most for the command time-out. `unanswered`: one was sent before, and may
    /// have been carried out.
    pub(crate) async fn send(mut self, unanswered: bool) -> Result<bool> {
        self.sent = true;
        let answer = give_back(&self.client, &self.holding, unanswered, None).await;
        self.end(answer)
    }

    /// Sends the release in the caller's thread; `None` where the store has no connection for that thread, or where it is
    /// one for later.
    pub(crate) fn send_blocking(
        &mut self,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        if self.is_later() {
            return None;
        }
        let client = self.client.clone();
        let claim = self.request();
        let quick = client.store.quick();
        let answer = quick.and_then(|quick| quick.release_blocking(claim, interrupted));
        self.sent = answer.is_some();
        answer
    }

    /// Takes the answer to a release that went by a connection other than the shared one.
    pub(crate) fn answered(mut self, answer: Result<Ownership, Failure>) -> Answered {
        match answer {
            Ok(ownership) => Answered::Done(self.end((Ok(ownership), false))),
            // Dropping the turn sends it on.
            Err(failure) if failure.error.kind() == ErrorKind::Interrupted => {
                Answered::Done(Err(failure.error))
            }
            Err(failure) if failure.is_temporary() => Answered::Again {
                turn: self,
                unanswered: failure.is_unanswered(),
            },
            Err(failure) => Answered::Done(self.end((Err(failure.error), false))),
        }
    }

    fn end(&mut self, answer: ReleaseOutcome) -> Result<bool> {
        self.over = true;
        end_release(&self.client, &self.holding, answer)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over && !is_seeded(Bug::ReleaseDropped) {
            // Perhaps nothing runs after whoever dropped it: the store has the release before that.
            let (client, holding) = (&self.client, &self.holding);
            let begun = if self.is_later() {
                AtOnce::Unsent
            } else {
                client.release_at_once(&holding.claim)
            };
            send_in_background(client, holding, self.sent, begun);
        }
    }
}

/// Gives a lease back in the background, after the keeper let go of it.
pub(crate) fn release_in_background(client: &Arc<ClientCore>, holding: &Arc<Holding>) {
    client.on_ended(holding);
    if let GiveBack::Send = holding.begin_release() {
        send_in_background(client, holding, false, AtOnce::Unsent);
    }
}

fn send_in_background(
    client: &Arc<ClientCore>,
    holding: &Arc<Holding>,
    unanswered: bool,
    begun: AtOnce,
) {
    let (job_client, holding) = (client.clone(), holding.clone());
    let (first, sent) = begun.attempt();
    client.background(async move {
        let client = job_client;
        let answer = give_back(&client, &holding, unanswered || sent, first).await;
        let result = end_release(&client, &holding, answer);
        if let Err(error) = &result {
            tracing::warn!(
                target: "leaselock",
                event = "release_failed",
                client = %client.client_id,
                app_id = %client.app_id,
                name = %holding.claim.lock.name(),
                owner = %holding.claim.owner,
                error = %error,
                "a lease could not be given back; its lock is free when its ttl ends"
            );
        }
        result.is_ok()
    });
}

/// The answer to a release, and whether an attempt had none.
type ReleaseOutcome = (Result<Ownership>, bool);

/// Sends a release until it is answered, at most for the command time-out. `first` is an attempt that was begun.
async fn give_back(
    client: &ClientCore,
    holding: &Holding,
    mut unanswered: bool,
    mut first: Option<BoxFuture<'static, Result<Ownership, Failure>>>,
) -> ReleaseOutcome {
    let limit = Instant::now() + client.command_timeout;
    if holding.kept_for().is_some() {
        // A renewal that comes after it would have the name taken for a whole TTL.
        let _ = tokio::time::timeout(client.command_timeout / 2, holding.unrenewed()).await;
    }
    let release = || {
        first
            .take()
            .unwrap_or_else(|| client.store.release(holding.releaser()))
    };
    let answer = client.repeat(limit, &mut unanswered, release).await;
    (answer, unanswered)
}

/// Notes what came of a release, and says whether this lease gave the lock back.
fn end_release(
    client: &Arc<ClientCore>,
    holding: &Holding,
    answer: ReleaseOutcome,
) -> Result<bool> {
    let (answer, unanswered) = answer;
    let (ownership, error) = match answer {
        Ok(ownership) => (Some(ownership), None),
        Err(error) => (None, Some(error)),
    };
    let gave_back = holding.end_release(ownership, unanswered);
    client.tell_end(holding, |token, held| {
        match (holding.found_gone(), &error) {
            (Some(reason), _) => LockEventKind::Lost {
                token,
                held,
                reason,
            },
            (None, None) => LockEventKind::Released { token, held },
            // For all that is known its TTL is to free the name.
            (None, Some(_)) => LockEventKind::Detached { token, held },
        }
    });
    // One for later is not repeated: that would end what is left of it.
    let is_later = holding.kept_for().is_some();
    if gave_back {
        client.counters.released.add();
        if let Some(released) = &client.released
            && !is_later
        {
            released.note(&holding.claim);
        }
    }
    if holding.stale && error.is_none() && !is_later {
        let again = undo::again(client.clone(), holding.claim.clone(), holding.may_last());
        client.background(again);
    }
    error.map_or(Ok(gave_back), Err)
}

/// Gives back once more, at the store's successor, what was given back before.
pub(crate) async fn give_back_again(client: Arc<ClientCore>, scope: Scope) -> bool {
    let Some(released) = &client.released else {
        return true;
    };
    undo_all(&client, released.take(&scope)).await;
    tokio::select! {
        biased;
        () = tokio::time::sleep(SUCCESSION) => {}
        () = client.closing() => {}
    }
    undo_all(&client, released.take(&scope)).await
}

async fn undo_all(client: &Arc<ClientCore>, claims: Vec<Arc<Claim>>) -> bool {
    let undone = stream::iter(claims).map(|claim| {
        let sent_in = client.store.standing(&claim.lock);
        let lasts = client.command_timeout;
        undo::undo(client.clone(), claim, lasts, sent_in, false, AtOnce::Unsent)
    });
    let answered = undone.buffer_unordered(AT_ONCE);
    let all = answered.fold(true, async |all, answered| all && answered);
    all.await
}
