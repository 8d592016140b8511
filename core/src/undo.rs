//! Taking back what a command of unknown outcome may have left behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::name::LockId;
use crate::shared::ClientCore;
use crate::store::{AtOnce, Releaser};

/// Takes back whatever an acquire may have left: its lock, its place in the queue, or a grant on its way, which is
/// passed on. What is not taken back ends by itself after `lasts`. `begun` is a release that was sent already. `true` when
/// the store answered.
pub(crate) async fn undo(
    client: Arc<ClientCore>,
    lock: LockId,
    owner: Arc<str>,
    lasts: Duration,
    sent_in: u64,
    mut stale: bool,
    begun: AtOnce,
) -> bool {
    let (mut first, _) = begun.attempt();
    let give_up_at = Instant::now() + lasts.max(client.command_timeout);
    let mut backoff = Backoff::new();
    loop {
        let attempt = first
            .take()
            .unwrap_or_else(|| client.store.release(&lock, Releaser::Own(owner.clone())));
        match attempt.await {
            Ok(_) => break,
            Err(failure) if failure.is_temporary() && Instant::now() < give_up_at => {
                stale |= failure.is_unanswered();
            }
            Err(failure) => {
                tracing::warn!(
                    target: "leaselock",
                    event = "undo_failed",
                    client = %client.client_id,
                    name = %lock.name(),
                    owner = %owner,
                    error = %failure.error,
                    "an acquire could not be undone; its lock, if it got one, is free when its ttl ends"
                );
                return false;
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
    if stale || client.store.epoch() != sent_in {
        // The old connection's last command may still be on its way to the server: take it back once more, later.
        let again = again(client.clone(), lock, owner);
        client.background(again);
    }
    true
}

/// Releases `owner` once more when a command left on a broken connection must have been carried out or dropped.
pub(crate) async fn again(client: Arc<ClientCore>, lock: LockId, owner: Arc<str>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(client.command_timeout) => {}
        () = client.closing() => {}
    }
    client
        .store
        .release(&lock, Releaser::Own(owner.clone()))
        .await
        .is_ok()
}
