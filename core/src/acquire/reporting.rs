//! An acquire that waits for long says so, once: what it waits for, and who holds it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Attempt;
use crate::claim::Claim;
use crate::neighbours;
use crate::shared::ClientCore;

/// A wait of no more than this is nothing to speak of.
const LONG: Duration = Duration::from_secs(5);

/// Who is to say that an acquire has waited for long.
pub(super) struct LongWait {
    client: Arc<ClientCore>,
    claim: Arc<Claim>,
    started: Instant,
}

impl Attempt {
    /// Who says that the wait is long; `None` where it never is.
    pub(super) fn long_wait(&self) -> Option<LongWait> {
        self.wait()
            .is_none_or(|wait| wait > LONG)
            .then(|| LongWait {
                client: self.client.clone(),
                claim: self.claim.clone(),
                started: self.started,
            })
    }
}

impl LongWait {
    /// Waits for `acquired`, and says so where that takes long.
    pub(super) async fn watch<T>(self, acquired: impl Future<Output = T>) -> T {
        let mut acquired = pin!(acquired);
        tokio::select! {
            biased;
            outcome = &mut acquired => return outcome,
            () = tokio::time::sleep_until(self.started + LONG) => {}
        }
        // A grant is not to wait for the answer.
        let client = self.client.clone();
        client.spawn(self.report());
        acquired.await
    }

    async fn report(self) {
        let store = &self.client.store;
        let found = self
            .client
            .retrying(|| store.inspect(&self.claim.lock))
            .await;
        let waited = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let (id, app_id, name, owner) = (
            &self.client.client_id,
            &self.client.app_id,
            self.claim.lock.name(),
            &self.claim.owner,
        );
        let holder = match found {
            Ok(found) => found.0.map(|lock| lock.owner).unwrap_or_default(),
            Err(error) => {
                tracing::info!(
                    target: "leaselock", event = "waiting", client = %id, %app_id, %name, %owner, %waited, %error,
                    "still waiting for a lock, and the store does not say who holds it"
                );
                return;
            }
        };
        if *holder == **owner {
            // Its turn has just come.
            return;
        }
        if neighbours::hold(&holder) {
            tracing::warn!(
                target: "leaselock", event = "waiting", client = %id, %app_id, %name, %owner, %holder, this_process = true, %waited,
                "still waiting for a lock that this process holds; locks are not re-entrant: what runs under a lock waits \
                 for ever if it acquires the same one"
            );
        } else if holder.is_empty() {
            tracing::info!(
                target: "leaselock", event = "waiting", client = %id, %app_id, %name, %owner, %waited,
                "still waiting for a lock that nobody holds just now"
            );
        } else {
            tracing::info!(
                target: "leaselock", event = "waiting", client = %id, %app_id, %name, %owner, %holder, this_process = false, %waited,
                "still waiting for a lock that someone else holds"
            );
        }
    }
}
