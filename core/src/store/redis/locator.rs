//! Where the server is that keeps the locks: asked whenever the shared connection is made.

use std::sync::Arc;

use super::config::Address;
use crate::store::{BoxFuture, Failure};

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
