//! Where the server is that keeps the locks: asked whenever the shared connection is made.

use std::sync::Arc;
use std::time::Duration;

use super::config::Address;
use crate::store::{BoxFuture, Failure};

/// Callers that meet a failed connect within this time share its failure instead of trying again each.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Knows where the server is, or finds out.
pub(super) trait Locator: Send + Sync {
    /// Where to connect to now. `failed`: where the connection before this one was made, or could not be; it has ended, but the
    /// server may be there still, or again. It ends by itself, within the time that connecting may take.
    fn locate<'a>(
        &'a self,
        failed: Option<&'a Address>,
    ) -> BoxFuture<'a, Result<Arc<Address>, Failure>>;

    /// For messages: what was named to find the server by.
    fn address(&self) -> String;

    /// Whether the server is still there, as far as is known.
    fn is_current(&self, _address: &Address) -> bool {
        true
    }

    /// How long to wait after so many attempts in a row that failed.
    fn pause(&self, _failures: u32) -> Duration {
        RETRY_PAUSE
    }

    /// What to say of `address` beside that it cannot be reached.
    fn advice(&self, _address: &Address) -> Option<String> {
        None
    }

    /// A lock is held or waited for from now on: where the server goes is to be found out when it goes.
    fn watch(&self) {}

    /// A message has come that is none of ours.
    fn on_message(&self, _message: &str) {}

    /// Ends for good what was begun to find the server.
    fn close(&self) {}
}

/// A server that is where its URL says. A host name is resolved anew for each connection.
pub(super) struct Fixed(Arc<Address>);

impl Fixed {
    pub(super) fn at(endpoint: &Address) -> Self {
        Self(Arc::new(endpoint.clone()))
    }
}

impl Locator for Fixed {
    fn locate<'a>(
        &'a self,
        _failed: Option<&'a Address>,
    ) -> BoxFuture<'a, Result<Arc<Address>, Failure>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn address(&self) -> String {
        self.0.to_string()
    }
}
