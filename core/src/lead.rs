//! Leader election: a name that is waited for, worked under, and waited for again when it was lost.
//!
//! What is tried again while nobody leads stands in [`Client::acquire_to_lead`], for every language.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Lease;
use crate::options::{AcquireBuilder, Request};

/// An acquire that fails sooner than this many command time-outs after it began has not met the store meanwhile: it is
/// still the same outage.
const SAME_OUTAGE: u32 = 2;

type Work<'a, T> =
    Box<dyn FnMut(Arc<Lease>) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> + Send + 'a>;

/// Work to be done by one at a time, its leader; `.await` gives what the work returned. Made by [`Client::lead`].
#[must_use = "nobody leads until it is awaited"]
pub struct Lead<'a, T> {
    leading: AcquireBuilder<Client>,
    work: Work<'a, T>,
}

/// Declares the setters of what leads: those of an acquire that make sense there.
macro_rules! lead_setters {
    () => {
        /// How long the name stays taken when nothing more is heard of its leader; 30 s without it.
        pub fn ttl(mut self, ttl: std::time::Duration) -> Self {
            self.leading.options.ttl = ttl;
            self
        }

        /// How long the name may be led at a stretch; then its lease counts as lost, and whoever waits comes next.
        pub fn max_hold(mut self, max_hold: std::time::Duration) -> Self {
            self.leading.options.max_hold = Some(max_hold);
            self
        }

        /// For people: leads the owner string. At most 128 bytes.
        pub fn label(mut self, label: impl Into<String>) -> Self {
            self.leading.options.label = Some(label.into());
            self
        }
    };
}
pub(crate) use lead_setters;

impl<T> Lead<'_, T> {
    lead_setters!();
}

impl<T> fmt::Debug for Lead<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.leading, f)
    }
}

impl Client {
    /// Waits for the name as long as it takes, runs `work` under its lease, and does so again whenever the lease is lost; set
    /// options, then `.await` it for what `work` returned.
    ///
    /// - A store that cannot be reached while it waits is tried again, for ever. Every other error ends it.
    /// - When the lease is lost, the future of `work` is dropped.
    /// - When `work` ends under its lease, the lease is given back first. What it returned is the result, be it an `Err` of its
    ///   own; whatever it returns after a loss is thrown away.
    /// - Dropping the future of `lead` drops that of `work`, and then gives the lease back. Closing the client ends both, with
    ///   [`ClientClosed`](crate::ErrorKind::ClientClosed).
    ///
    /// Others can be at work for as long as this process takes to notice the loss, so pass
    /// [`lease.token()`](Lease::token) to whatever is written to.
    ///
    /// Fails with [`StoreRefused`](crate::ErrorKind::StoreRefused), [`ClientClosed`](crate::ErrorKind::ClientClosed) or
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    ///
    /// ```no_run
    /// # async fn run_jobs(_token: u64) -> std::io::Result<()> { Ok(()) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = leaselock::Client::new("redis://localhost")?;
    /// client
    ///     .lead("scheduler", |lease| async move { run_jobs(lease.token()).await })
    ///     .ttl(std::time::Duration::from_secs(10))
    ///     .await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lead<'a, F>(
        &self,
        name: impl Into<String>,
        mut work: impl FnMut(Arc<Lease>) -> F + Send + 'a,
    ) -> Lead<'a, F::Output>
    where
        F: Future + Send + 'a,
    {
        Lead {
            leading: AcquireBuilder::new(self, name.into()),
            work: Box::new(move |lease| Box::pin(work(lease))),
        }
    }

    /// An acquire without a limit, for whoever is to lead: a store that cannot be reached is tried again until it can be.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire), less [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) and
    /// [`LockTimeout`](crate::ErrorKind::LockTimeout).
    #[doc(hidden)]
    pub async fn acquire_to_lead(&self, request: Request) -> Result<Lease> {
        let request = request.without_limit();
        let mut outage = None;
        loop {
            let begun = Instant::now();
            let error = match self.acquire_request(request.clone()).await {
                Err(error) if error.kind() == ErrorKind::StoreUnavailable => error,
                acquired => return acquired,
            };
            if begun.elapsed() > self.inner.command_timeout * SAME_OUTAGE {
                outage = None;
            }
            let backoff = outage.get_or_insert_with(|| {
                self.report_outage(request.name(), &error);
                Backoff::new()
            });
            // Closed meanwhile, the next acquire says so.
            let _ = tokio::time::timeout(backoff.next(), self.inner.closing()).await;
        }
    }

    fn report_outage(&self, name: &str, error: &Error) {
        tracing::warn!(
            target: "leaselock",
            event = "lead_failed",
            client = %self.inner.client_id,
            app_id = %self.inner.app_id,
            %name,
            %error,
            "nobody here can lead while the store cannot be reached; it is tried again until it can be"
        );
    }
}

/// Whether what comes of work under `lease` counts for nothing, and the name is to be waited for again: the lease was lost on
/// the way, or the client closed, which the next acquire says.
pub(crate) fn is_over(client: &Client, lease: &Lease) -> bool {
    client.is_closed() || lease.lost_error().is_some()
}

impl<'a, T: Send + 'a> IntoFuture for Lead<'a, T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.leading.request()?;
            let client = &self.leading.client;
            loop {
                let leading = Leading(Arc::new(client.acquire_to_lead(request.clone()).await?));
                let work = (self.work)(leading.0.clone());
                if let Some(given) = leading.work(client, work).await {
                    return Ok(given);
                }
            }
        })
    }
}

/// A lease that is given back when its leader's work is dropped, whoever else has got hold of it.
struct Leading(Arc<Lease>);

impl Leading {
    /// What the work gave; `None` where it was stopped, or had lost the lease.
    async fn work<T>(&self, client: &Client, work: impl Future<Output = T>) -> Option<T> {
        let lease = &self.0;
        let given = {
            let mut work = pin!(work);
            tokio::select! {
                biased;
                () = stopped(client, lease) => return None,
                given = &mut work => given,
            }
        };
        // Where that fails it is tried again in the background, and else the TTL frees the name.
        let _ = lease.release().await;
        (!is_over(client, lease)).then_some(given)
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Completes when whoever works under the lease has to stop. A release by the work itself stops nobody.
async fn stopped(client: &Client, lease: &Lease) {
    lease.over().await;
    if !is_over(client, lease) {
        client.inner.closing().await;
    }
}
