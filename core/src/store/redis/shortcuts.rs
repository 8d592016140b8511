//! The short ways to a server: what goes by connections of callers who block, by lines of event loops, and by the shared
//! connection where nothing has to be awaited first.

use std::sync::Arc;
use std::time::Duration;

use super::RedisStore;
use super::exchange::Exchange;
use super::redirection::Stop;
use super::route::Route;
use super::running::run;
use crate::claim::Claim;
use crate::name::LockId;
use crate::store::{Ask, Asked, AtOnce, BoxFuture, Failure, LineStore, Ownership, Quick, Releaser};

impl RedisStore {
    /// Runs an exchange in the caller's thread on an idle connection, if there is one.
    fn run_blocking<E: Exchange>(
        &self,
        limit: Option<Duration>,
        mut exchange: E,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<E::Output, Failure>> {
        match &self.route {
            Route::One(node) => node.run_blocking(limit, &mut exchange, interrupted),
            Route::Cluster(cluster) => {
                let node = cluster.node(exchange.slot())?;
                node.run_blocking(limit, &mut exchange, interrupted)
            }
        }
    }
}

impl Quick for RedisStore {
    fn take_at_once(
        &self,
        claim: &Arc<Claim>,
        ttl: Duration,
    ) -> Option<BoxFuture<'static, Result<Asked, Failure>>> {
        match &self.route {
            Route::One(node) => {
                let connection = node.link.live()?;
                let mut asking = self.asking(claim, ttl, Ask::Take);
                let link = node.link.clone();
                Some(Box::pin(async move {
                    let asked = run(&link, &connection, &mut asking, false).await;
                    asked.map_err(Stop::into_failure)
                }))
            }
            Route::Cluster(cluster) => {
                let asking = self.asking(claim, ttl, Ask::Take);
                cluster.node(asking.slot())?.link.live()?;
                let cluster = cluster.clone();
                Some(Box::pin(async move { cluster.run(asking).await }))
            }
        }
    }

    fn take_blocking(
        &self,
        claim: &Arc<Claim>,
        ttl: Duration,
        limit: Option<Duration>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        self.run_blocking(limit, self.asking(claim, ttl, Ask::Take), interrupted)
    }

    fn release_blocking(
        &self,
        claim: &Arc<Claim>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        let releaser = Releaser::Own(claim.clone());
        self.run_blocking(None, self.releasing(releaser), interrupted)
    }

    fn release_at_once(&self, claim: &Arc<Claim>) -> AtOnce {
        let releasing = self.releasing(Releaser::Own(claim.clone()));
        let node = self.route.node(releasing.slot());
        node.map_or(AtOnce::Unsent, |node| node.release_at_once(releasing))
    }

    fn has_own_connections(&self) -> bool {
        true
    }

    fn open_blocking(&self, lock: LockId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(node) = self.route.node(self.config.prefix().slot_of(&lock)) {
                node.open_blocking().await;
            }
        })
    }

    fn open_line(&self) -> BoxFuture<'_, Option<Result<Box<dyn LineStore>, Failure>>> {
        Box::pin(async {
            match &self.route {
                // A loop's connection would be blocked while the server waits for replicas, with all that is on it.
                _ if self.config.replicas() > 0 => None,
                Route::One(node) => Some(node.open_line().await),
                // A loop would have to watch one for each node.
                Route::Cluster(_) => None,
            }
        })
    }
}
