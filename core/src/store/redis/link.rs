//! The shared connection: one multiplexed RESP3 connection that carries commands, replies and inbox messages, made when
//! it is first needed and again after it was lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::OnceCell;

use super::config::Config;
use super::{failure, keys, wire};
use crate::clock::Moment;
use crate::error::Error;
use crate::store::{Event, Failure, Listener};

/// Callers that meet a failed connect within this time share its failure instead of trying again each.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Requests that may be queued to the connection's task; redis-rs's own default, 50, is less than a burst.
const BUFFERED_REQUESTS: usize = 16 * 1024;
/// A `take` counts on the counter's seed for this long after a `wait` was sent on the same connection.
pub(super) const SEED_LASTS: Duration = Duration::from_secs(1);

/// One live connection.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    epoch: u64,
    seeded: Mutex<Option<Moment>>,
    subscribed: OnceCell<()>,
}

impl Connection {
    /// Whether a `wait` on this connection seeded the token counter within the last second.
    pub(super) fn is_seeded(&self) -> bool {
        let seeded = *lock(&self.seeded);
        seeded.is_some_and(|at| Moment::now().since(at) < SEED_LASTS)
    }

    /// Notes that a `wait` sent at `at` was answered.
    pub(super) fn set_seeded(&self, at: Moment) {
        *lock(&self.seeded) = Some(at);
    }
}

pub(super) struct Link {
    config: Config,
    client_id: Arc<str>,
    timeout: Duration,
    listener: Listener,
    current: Mutex<Option<Arc<Connection>>>,
    connecting: tokio::sync::Mutex<Option<(Instant, Failure)>>,
    epoch: AtomicU64,
    closed: AtomicBool,
    this: Weak<Self>,
}

impl Link {
    pub(super) fn new(
        config: Config,
        client_id: Arc<str>,
        timeout: Duration,
        listener: Listener,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            config,
            client_id,
            timeout,
            listener,
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            epoch: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            this: this.clone(),
        })
    }

    /// The number of the live connection, or of the first one before it is made.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire).max(1)
    }

    /// The server's address, without credentials.
    pub(super) fn address(&self) -> String {
        self.config.address()
    }

    /// The live connection, made now if there is none.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        let mut last_failure = self.connecting.lock().await;
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::unsent(Error::closed()));
        }
        if let Some((at, failure)) = &*last_failure
            && at.elapsed() < RETRY_PAUSE
        {
            return Err(failure.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                *last_failure = None;
                let connection = Arc::new(connection);
                *lock(&self.current) = Some(connection.clone());
                Ok(connection)
            }
            Err(failure) => {
                *last_failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn live(&self) -> Option<Arc<Connection>> {
        lock(&self.current).clone()
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let epoch = self.epoch.load(Ordering::Acquire) + 1;
        let this = self.this.clone();
        let config = timeless()
            .set_pipeline_buffer_size(BUFFERED_REQUESTS)
            .set_push_sender(move |push| {
                if let Some(link) = this.upgrade() {
                    link.on_push(epoch, &push);
                }
                Ok::<_, redis::aio::SendError>(())
            });
        let commands = self.open(&config).await?;
        self.epoch.store(epoch, Ordering::Release);
        if epoch > 1 {
            let address = self.config.address();
            tracing::info!(
                target: "leaselock",
                event = "reconnect",
                client = %self.client_id,
                "connected again to {address}"
            );
        }
        Ok(Connection {
            commands,
            epoch,
            seeded: Mutex::new(None),
            subscribed: OnceCell::new(),
        })
    }

    /// A connection that is not the shared one, for whoever drops it soon.
    pub(super) async fn connect_apart(&self) -> Result<MultiplexedConnection, Failure> {
        self.open(&timeless()).await
    }

    async fn open(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, Failure> {
        let address = self.config.address();
        let connect = async {
            super::install_crypto();
            redis::Client::open(self.config.multiplexed())?
                .get_multiplexed_async_connection_with_config(config)
                .await
        };
        match tokio::time::timeout(self.timeout, connect).await {
            Ok(Ok(commands)) => Ok(commands),
            Ok(Err(error)) => Err(Failure::unsent(
                failure::from_connection(&address, error).error,
            )),
            Err(_) => Err(Failure::unsent(Error::unavailable(format!(
                "no connection to the server at {address} within {:?}",
                self.timeout
            )))),
        }
    }

    /// Sends a pipeline and reads as many replies. Silence for the whole command time-out ends the connection; one
    /// `limit` that runs out earlier does not.
    pub(super) async fn exchange(
        &self,
        connection: &Connection,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<Vec<Value>, Failure> {
        let mut commands = connection.commands.clone();
        let exchange = commands.send_packed_commands(pipeline, 0, pipeline.len());
        match tokio::time::timeout(limit, exchange).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(error)) => {
                self.lose(connection.epoch);
                Err(failure::from_connection(&self.config.address(), error))
            }
            Err(_) => {
                if limit >= self.timeout {
                    self.lose(connection.epoch);
                }
                Err(Failure::unanswered(Error::unavailable(format!(
                    "the server at {} did not answer within {limit:?}",
                    self.config.address()
                ))))
            }
        }
    }

    /// Subscribes to the inbox on the live connection, once, confirmed.
    pub(super) async fn listen(&self) -> Result<(), Failure> {
        let connection = self.connection().await?;
        connection
            .subscribed
            .get_or_try_init(|| async {
                let mut commands = connection.commands.clone();
                let inbox = keys::inbox(&self.client_id);
                match tokio::time::timeout(self.timeout, commands.subscribe(inbox)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => {
                        if error.is_unrecoverable_error() {
                            self.lose(connection.epoch);
                        }
                        Err(failure::from_connection(&self.config.address(), error))
                    }
                    Err(_) => {
                        self.lose(connection.epoch);
                        Err(Failure::unsent(Error::unavailable(format!(
                            "the server at {} did not confirm a subscription within {:?}",
                            self.config.address(),
                            self.timeout
                        ))))
                    }
                }
            })
            .await
            .copied()
    }

    /// Gives up the connection numbered `epoch`, if it is still the live one.
    fn lose(&self, epoch: u64) {
        let lost = {
            let mut current = lock(&self.current);
            current.take_if(|connection| connection.epoch == epoch)
        };
        if lost.is_some() {
            (self.listener)(Event::Reset);
        }
    }

    fn on_push(&self, epoch: u64, push: &PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.lose(epoch),
            PushKind::Message => {
                // What comes late from a connection that was given up is no news. It stays the live one until the news
                // is told: a grant of an earlier one must not follow its reset.
                let live = lock(&self.current);
                if live.as_ref().is_none_or(|live| live.epoch != epoch) {
                    return;
                }
                let Some(Value::BulkString(payload)) = push.data.get(1) else {
                    return;
                };
                let Ok(payload) = std::str::from_utf8(payload) else {
                    return;
                };
                match wire::message(payload) {
                    Some(wire::Message::Granted { lock, owner, grant }) => {
                        if let Some(lock) = keys::parse(lock) {
                            (self.listener)(Event::Granted {
                                lock,
                                owner: owner.to_owned(),
                                grant,
                            });
                        }
                    }
                    Some(wire::Message::Next { owner, expires_in }) => {
                        (self.listener)(Event::Next {
                            owner: owner.to_owned(),
                            expires_in,
                        });
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Drops the connection for good.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        lock(&self.current).take();
    }
}

/// Time-outs are ours, for each command.
fn timeless() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
