//! Taking back what a command of unknown outcome may have left behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::claim::Claim;
use crate::seeded::{Bug, is_seeded};
use crate::shared::ClientCore;
use crate::store::{AtOnce, BoxFuture, Failure, Ownership, Releaser, Standing};

/// Takes back whatever an acquire may have left: its lock, its place in the queue, or a grant on its way, which is
/// passed on. What is not taken back ends by itself after `lasts`. `begun` is a release that was sent already. `true` when
/// the store answered.
pub(crate) async fn undo(
    client: Arc<ClientCore>,
    claim: Arc<Claim>,
    lasts: Duration,
    sent_in: Standing,
    mut stale: bool,
    begun: AtOnce,
) -> bool {
    let (first, _) = begun.attempt();
    if !release(&client, &claim, lasts, first, &mut stale).await {
        return false;
    }
    if is_seeded(Bug::UndoOnce) {
        return true;
    }
    if stale || client.store.standing(&claim.lock) != sent_in {
        // The old connection's last command may still be on its way to the server: take it back once more, later.
        let again = again(client.clone(), claim, lasts);
        client.background(again);
    }
    true
}

/// Takes back once more, when a command left on a broken connection must have been carried out or dropped.
pub(crate) async fn again(client: Arc<ClientCore>, claim: Arc<Claim>, lasts: Duration) -> bool {
    tokio::select! {
        biased;
        () = tokio::time::sleep(client.command_timeout) => {}
        () = client.closing() => {}
    }
    release(&client, &claim, lasts, None, &mut false).await
}

/// Sends a release until it is answered; `first` is one that was begun. `stale` becomes true where one had no answer. `false` when it
/// was not answered while there may be something to release.
async fn release(
    client: &ClientCore,
    claim: &Arc<Claim>,
    lasts: Duration,
    mut first: Option<BoxFuture<'static, Result<Ownership, Failure>>>,
    stale: &mut bool,
) -> bool {
    let give_up_at = Instant::now() + lasts.max(client.command_timeout);
    let mut backoff = Backoff::new();
    loop {
        let attempt = first
            .take()
            .unwrap_or_else(|| client.store.release(Releaser::Own(claim.clone())));
        match attempt.await {
            Ok(ownership) => {
                if ownership.is_mine()
                    && let Some(released) = &client.released
                {
                    released.note(claim);
                }
                return true;
            }
            Err(failure) if failure.is_temporary() && Instant::now() < give_up_at => {
                *stale |= failure.is_unanswered();
            }
            Err(failure) => {
                tracing::warn!(
                    target: "leaselock",
                    event = "undo_failed",
                    client = %client.client_id,
                    app_id = %client.app_id,
                    name = %claim.lock.name(),
                    owner = %claim.owner,
                    error = %failure.error,
                    "an acquire could not be undone; its lock, if it got one, is free when its ttl ends"
                );
                return false;
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}
