//! One sentinel: the connection to it, by which it is asked and tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::sync::Notify;

use super::answer;
pub(super) use super::answer::Heard;
use crate::store::redis::config::{Address, Config};
use crate::store::redis::connect::Server;
use crate::store::redis::failure;
use crate::store::redis::health::Health;
use crate::store::redis::link::Link;
use crate::store::redis::locator::Locator;
use crate::store::redis::wire::Packed;
use crate::store::{BoxFuture, Event, Failure, Host, Scope, Spawn};

/// What sentinels publish when a master is another one: the one that leads a failover says the first, some time before all say
/// the second.
const CHANNELS: [&str; 2] = ["+promoted-slave", "+switch-master"];

/// One sentinel.
pub(super) struct Sentinel {
    pub(super) address: Address,
    config: Arc<Config>,
    service: Arc<str>,
    link: Arc<Link>,
    /// It has told something, or the connection was lost.
    news: Arc<Notify>,
    /// It did not answer when it was last asked.
    failed: AtomicBool,
}

impl Sentinel {
    /// Nothing is connected yet. `config` is that of the data servers.
    pub(super) fn new(
        config: &Arc<Config>,
        address: &Address,
        service: Arc<str>,
        client_id: Arc<str>,
        timeout: Duration,
        spawn: Spawn,
    ) -> Arc<Self> {
        let news: Arc<Notify> = Arc::default();
        let here = Here {
            address: Arc::new(address.clone()),
            service: service.clone(),
            news: news.clone(),
        };
        let server = Server::new(
            Arc::new(config.for_sentinels()),
            Box::new(here),
            Health::new(timeout),
            Arc::default(),
        );
        let listener = {
            let news = news.clone();
            Arc::new(move |event| {
                if let Event::Reset { .. } = event {
                    news.notify_one();
                }
            })
        };
        let host = Host { listener, spawn };
        Arc::new(Self {
            address: address.clone(),
            config: config.clone(),
            service,
            link: Link::new(server, client_id, host, Scope::all()),
            news,
            failed: AtomicBool::new(false),
        })
    }

    /// Asks it; it has `limit` to answer, or the connection's patience.
    pub(super) async fn ask(&self, limit: Option<Duration>) -> Result<Heard, Failure> {
        let asked = self.ask_once(limit).await;
        self.failed.store(asked.is_err(), Ordering::Relaxed);
        asked
    }

    /// It was asked, and has not answered.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether it did not answer when it was last asked.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    async fn ask_once(&self, limit: Option<Duration>) -> Result<Heard, Failure> {
        let connection = self.link.connection().await?;
        let ask = |out: &mut Packed| answer::ask(out, &self.service);
        let (_, replies) = connection.ask(limit, ask).await?;
        answer::read(&replies, &self.address, &self.config)
    }

    /// Listens to it, and asks what it may have told before.
    pub(super) async fn listen(&self) -> Result<Heard, Failure> {
        let connection = self.link.connection().await?;
        let subscribe = async || {
            let subscribe = |out: &mut Packed| {
                for channel in CHANNELS {
                    out.words(&["SUBSCRIBE", channel]);
                }
            };
            let (_, replies) = connection.ask(None, subscribe).await?;
            match replies
                .iter()
                .find(|it| matches!(it, Value::ServerError(_)))
            {
                Some(Value::ServerError(error)) => {
                    Err(Failure::answered(failure::from_server(error)))
                }
                _ => Ok(()),
            }
        };
        connection
            .subscription(0)
            .get_or_try_init(subscribe)
            .await?;
        self.ask(None).await
    }

    /// Completes when it has told something, or may have.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn close(&self) {
        self.link.close();
    }
}

/// A sentinel is where it was said to be.
struct Here {
    address: Arc<Address>,
    service: Arc<str>,
    news: Arc<Notify>,
}

impl Locator for Here {
    fn locate<'a>(
        &'a self,
        _failed: Option<&'a Address>,
    ) -> BoxFuture<'a, Result<Arc<Address>, Failure>> {
        Box::pin(std::future::ready(Ok(self.address.clone())))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    fn on_message(&self, message: &str) {
        // The words of another service's news may hold this one's name: then it is asked once too often.
        if message.split(' ').any(|word| word == &*self.service) {
            self.news.notify_one();
        }
    }
}
