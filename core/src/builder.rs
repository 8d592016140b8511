//! How a client is made: where the store is, and what applies to everything it does.

use std::env;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::access::{Cause, Credentials, CredentialsFunction, ServerAccess};
use crate::blocking::{self, Interrupt};
use crate::client::Client;
use crate::ending::Clients;
use crate::error::{Error, Result};
use crate::name;
use crate::observe::Observer;
use crate::options::{self, Unit};
use crate::shared::{ClientCore, Settings};

/// Collects what a client needs. Made by [`Client::builder`].
#[derive(Clone, Default)]
pub struct ClientBuilder {
    url: Option<String>,
    app_id: Option<String>,
    command_timeout: Option<Duration>,
    access: ServerAccess,
    unit: Unit,
    runtime: Option<Handle>,
    background: Option<Arc<blocking::Background>>,
    dedicated_runtime: bool,
    interrupt: Option<Interrupt>,
    among: Option<&'static Clients>,
    observer: Option<Arc<dyn Observer>>,
}

impl ClientBuilder {
    /// Where the store is; without it, `LEASELOCK_URL` is read.
    ///
    /// | URL | the locks are |
    /// | --- | --- |
    /// | `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS, `unix:/path` | on a Redis or Valkey server |
    /// | `file:path.db`, `file:/absolute/path.db`, `file:///absolute/path.db` | in a file, for every process of this machine |
    /// | `memory:NAME` | in this process, for every client of the same name |
    ///
    /// After `file:` the path is taken as it stands; after `file://` it is percent-decoded. A relative one counts from the
    /// directory of now. The file is made at the first use, for this user alone, in a directory that must exist and be
    /// writable: two files beside it are SQLite's log, and a directory holds the inboxes of who waits. It must not lie on a
    /// network file system, nor be opened by other code of the same process, be it to copy it: closing a file gives up all
    /// locks that the process has on it.
    ///
    /// A `memory:` store lasts as long as it has a client, a lease or a waiter.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The application the locks belong to: two applications may use the same name without meeting. Without it,
    /// `LEASELOCK_APP_ID` is read; empty is none.
    #[must_use]
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.app_id = Some(app_id.into());
        self
    }

    /// How long a command may go unanswered before the server counts as unreachable; 5 s without it.
    #[must_use]
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = Some(timeout);
        self
    }

    /// The certificates of the authorities to trust, in place of the system's: a PEM file. For `rediss://` and `valkeys://`.
    ///
    /// This and the other options of TLS, and `key_prefix`, may stand in the URL as well, as `?tls_ca=…`; said twice, they
    /// must be equal.
    #[must_use]
    pub fn tls_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.access.tls_ca = Some(file.into());
        self
    }

    /// The client's own certificate, for a server that asks for one: a PEM file, with what is between it and its authority.
    #[must_use]
    pub fn tls_cert(mut self, file: impl Into<PathBuf>) -> Self {
        self.access.tls_cert = Some(file.into());
        self
    }

    /// The key of the client's own certificate: a PEM file.
    #[must_use]
    pub fn tls_key(mut self, file: impl Into<PathBuf>) -> Self {
        self.access.tls_key = Some(file.into());
        self
    }

    /// Takes any certificate: what is sent can be read by whoever sits in between. For trying things out.
    #[must_use]
    pub fn tls_insecure_skip_verify(mut self, skip: bool) -> Self {
        self.access.tls_insecure_skip_verify = Some(skip);
        self
    }

    /// What stands before every key and channel, at most 128 bytes, for a server on which a team has a part of the key space.
    /// With one, locks are not shared with Dapr.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.access.key_prefix = Some(prefix.into());
        self
    }

    /// Where servers are reached that announce other addresses than this client can reach, as `host:port`: behind NAT, in
    /// containers. For sentinels and clusters.
    #[must_use]
    pub fn address_map<A, R>(mut self, pairs: impl IntoIterator<Item = (A, R)>) -> Self
    where
        A: Into<String>,
        R: Into<String>,
    {
        let pairs = pairs.into_iter();
        self.access.address_map = pairs
            .map(|(announced, reachable)| (announced.into(), reachable.into()))
            .collect();
        self
    }

    /// How many replicas have to have a lock before it counts as acquired or renewed; 0 without it. Where fewer have it, an
    /// acquire is undone and fails with [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable), and a renewal has failed.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.access.replicas = Some(replicas);
        self
    }

    /// A function that gives user and password for each new connection, in place of those in the URL: for passwords that
    /// expire (IAM, Entra) or are rotated (Vault).
    ///
    /// Its future is polled on the client's runtime and must not block; it has as long as connecting has: 1 s at first, and
    /// up to the command time-out when it needed longer. What it fails with becomes the source of a
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable), and it is asked again.
    ///
    /// ```no_run
    /// # fn main() -> leaselock::Result<()> {
    /// # async fn token() -> std::io::Result<String> { Ok(String::new()) }
    /// let client = leaselock::Client::builder()
    ///     .url("rediss://cache.example:6380")
    ///     .credentials(|| async {
    ///         let password = token().await?;
    ///         std::io::Result::Ok(leaselock::Credentials::new("worker", password))
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn credentials<F, A, E>(mut self, function: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Cause>,
    {
        self.access.credentials = Some(CredentialsFunction::new(function));
        self
    }

    /// Who is told what happens to the client's locks: each acquire, each lease and how it ends; for metrics and traces.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use leaselock::{Client, LockEvent};
    ///
    /// # fn main() -> leaselock::Result<()> {
    /// let client = Client::builder()
    ///     .url("memory:observed")
    ///     .observer(Arc::new(|event: LockEvent| {
    ///         println!("{} {}", event.name(), event.kind().as_str());
    ///     }))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The unit in which error texts speak of durations.
    #[doc(hidden)]
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// The runtime for the client's background work, in place of the one of its first use.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// A runtime that blocking callers drive while they wait, in place of one of the client's own.
    #[doc(hidden)]
    #[must_use]
    pub fn background(mut self, background: Arc<blocking::Background>) -> Self {
        self.runtime = Some(background.handle().clone());
        self.background = Some(background);
        self.dedicated_runtime()
    }

    /// Promises that the runtime is for the client's own work: all futures of the client are polled there, or without
    /// waiting, and no code that holds a lease runs there. So no holder can block the renewal of its lease.
    #[doc(hidden)]
    #[must_use]
    pub fn dedicated_runtime(mut self) -> Self {
        self.dedicated_runtime = true;
        self
    }

    /// A hook that blocking calls ask, at least every 50 ms and in the caller's thread, whether to stop; `None` from it
    /// means never in this thread.
    #[doc(hidden)]
    #[must_use]
    pub fn interrupt(mut self, interrupt: Arc<dyn Fn() -> Option<bool> + Send + Sync>) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Counts the client among those that are closed together when the process ends.
    #[doc(hidden)]
    #[must_use]
    pub fn among(mut self, clients: &'static Clients) -> Self {
        self.among = Some(clients);
        self
    }

    /// An async client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), also when there is no URL at all.
    pub fn build(self) -> Result<Client> {
        Ok(Client::from_inner(self.core(self.settings()?)?))
    }

    /// A blocking client. Nothing is connected yet, and no thread started.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), also when there is no URL at all.
    pub fn build_blocking(self) -> Result<blocking::Client> {
        let settings = self.clone().dedicated_runtime().settings()?;
        let core = self.core(settings)?;
        let place = match (self.background, self.runtime) {
            (Some(background), _) => Some(blocking::Place::Shared(background)),
            (None, Some(handle)) => Some(blocking::Place::Foreign(handle)),
            (None, None) => None,
        };
        Ok(blocking::Client::from_core(core, place, self.interrupt))
    }

    fn core(&self, settings: Settings) -> Result<Arc<ClientCore>> {
        let core = ClientCore::new(settings)?;
        if let Some(clients) = self.among {
            clients.add(&core);
        }
        Ok(core)
    }

    fn settings(&self) -> Result<Settings> {
        let url = self
            .url
            .clone()
            .or_else(|| variable("LEASELOCK_URL"))
            .ok_or_else(|| {
                Error::invalid(
                    "no URL: pass one, such as \"redis://localhost:6379\", or \"file:locks.db\" for one machine, \
                     or set the environment variable LEASELOCK_URL to one",
                )
            })?;
        let app_id = self
            .app_id
            .clone()
            .or_else(|| variable("LEASELOCK_APP_ID"))
            .unwrap_or_default();
        name::check_app_id(&app_id)?;
        let timeout = self
            .command_timeout
            .unwrap_or(options::DEFAULT_COMMAND_TIMEOUT);
        options::check_command_timeout(timeout, self.unit)?;
        Ok(Settings {
            url,
            access: ServerAccess {
                unit: self.unit,
                ..self.access.clone()
            },
            app_id,
            command_timeout: timeout,
            runtime: self.runtime.clone(),
            dedicated_runtime: self.dedicated_runtime,
            observer: self.observer.clone(),
        })
    }
}

impl Client {
    /// A client of the store at `url`, such as `redis://localhost:6379`, `file:locks.db` or `memory:tests`; see
    /// [`ClientBuilder::url`].
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a URL that cannot be used.
    pub fn new(url: &str) -> Result<Self> {
        Self::builder().url(url).build()
    }

    /// A client of the store that `LEASELOCK_URL` names, with the app id of `LEASELOCK_APP_ID`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the variable is not set, or cannot be used.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// A client with more to say than a URL.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl blocking::Client {
    /// A client of the store at `url`, such as `redis://localhost:6379`, `file:locks.db` or `memory:tests`; see
    /// [`ClientBuilder::url`].
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a URL that cannot be used.
    pub fn new(url: &str) -> Result<Self> {
        ClientBuilder::default().url(url).build_blocking()
    }

    /// A client of the store that `LEASELOCK_URL` names, with the app id of `LEASELOCK_APP_ID`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the variable is not set, or cannot be used.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::default().build_blocking()
    }

    /// A client with more to say than a URL; end with [`build_blocking`](ClientBuilder::build_blocking).
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

/// An environment variable; empty is not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the URL: it may hold a password.
        f.debug_struct("ClientBuilder")
            .field("app_id", &self.app_id)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}
