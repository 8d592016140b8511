//! The short ways to a server: what goes by connections of callers who block, by lines of event loops, and by the shared
//! connection where nothing has to be awaited first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::RedisStore;
use super::exchange::{Exchange, Step};
use super::line::Line;
use super::pool::{self, Blocking};
use super::running::{go_on, run};
use crate::claim::Claim;
use crate::clock::Moment;
use crate::store::{Ask, Asked, AtOnce, BoxFuture, Failure, LineStore, Ownership, Quick, Releaser};

impl RedisStore {
    /// Runs an exchange in the caller's thread on an idle connection, if there is one.
    fn run_blocking<E: Exchange>(
        &self,
        limit: Option<Duration>,
        exchange: impl FnOnce(&Blocking) -> E,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<E::Output, Failure>> {
        let patience = self.server.health.patience();
        let limit = limit.map(|limit| limit.min(patience));
        let mut connection = self.pool.checkout(self.link.epoch())?;
        let mut exchange = exchange(&connection);
        loop {
            let started = Moment::now();
            match connection.ask(limit, interrupted, |out| exchange.request(out)) {
                Ok((sent, replies)) => {
                    if let Step::Done(result) = exchange.on_replies(&replies, sent) {
                        if let Some(at) = exchange.seeded() {
                            connection.set_seeded(at);
                        }
                        self.pool.put_back(connection);
                        return Some(result);
                    }
                }
                Err(failure) => {
                    // What broke this connection probably broke the others too.
                    drop(connection);
                    self.pool.clear();
                    let waited = Moment::now().since(started);
                    // A short wait that has passed says nothing about the network.
                    if failure.is_unanswered() && waited + pool::INTERRUPT_CHECK >= patience {
                        self.link.doubt(waited);
                    }
                    return Some(Err(failure));
                }
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
        let connection = self.link.live()?;
        let seeded = connection.is_seeded();
        let asking = self.asking(claim, ttl, Ask::Take, seeded);
        let link = self.link.clone();
        Some(Box::pin(
            async move { run(&link, &connection, asking).await },
        ))
    }

    fn take_blocking(
        &self,
        claim: &Arc<Claim>,
        ttl: Duration,
        limit: Option<Duration>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        self.run_blocking(
            limit,
            |connection| self.asking(claim, ttl, Ask::Take, connection.is_seeded()),
            interrupted,
        )
    }

    fn release_blocking(
        &self,
        claim: &Arc<Claim>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        let releaser = Releaser::Own(claim.clone());
        self.run_blocking(None, |_| self.releasing(releaser), interrupted)
    }

    fn release_at_once(&self, claim: &Arc<Claim>) -> AtOnce {
        let mut releasing = self.releasing(Releaser::Own(claim.clone()));
        // Nobody may be left to send the script's text when the server does not know its hash.
        if let Some(connection) = self.link.live() {
            if !connection.has_released.load(Ordering::Relaxed) {
                releasing = releasing.by_text();
            }
            let begun = connection.begin_at_once(|out| releasing.request(out));
            if begun.is_some() {
                let link = self.link.clone();
                return AtOnce::Begun(Box::pin(async move {
                    let answer = go_on(&link, &connection, releasing, begun).await;
                    if answer.is_ok() {
                        connection.has_released.store(true, Ordering::Relaxed);
                    }
                    answer
                }));
            }
        }
        releasing = releasing.by_text();
        let sent = match self.link.orphan() {
            Some(connection) => connection.send_unheard(|out| releasing.request(out)),
            None => self
                .pool
                .checkout(self.link.epoch())
                .is_some_and(|connection| connection.send_unheard(|out| releasing.request(out))),
        };
        if sent { AtOnce::Sent } else { AtOnce::Unsent }
    }

    fn has_own_connections(&self) -> bool {
        true
    }

    fn open_blocking(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let opened = async {
                let (epoch, address) = self.link.whereabouts().await?;
                self.pool.open(epoch, address).await
            };
            if let Err(failure) = opened.await {
                tracing::debug!(target: "leaselock", error = %failure.error, "no connection for blocking calls");
            }
        })
    }

    fn open_line(&self) -> BoxFuture<'_, Option<Result<Box<dyn LineStore>, Failure>>> {
        Box::pin(async {
            let opened = async {
                let (_, address) = self.link.whereabouts().await?;
                let connected = self.server.connect(&address).await?;
                let (server, client_id) = (self.server.clone(), self.client_id.clone());
                let link = Arc::downgrade(&self.link);
                Ok(Box::new(Line::new(connected, address, server, client_id, link)) as _)
            };
            Some(opened.await)
        })
    }
}
