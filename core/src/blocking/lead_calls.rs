//! Leading by calls that block: the work runs in its caller's thread.

use std::fmt;

use super::client_calls::Client;
use super::lease_calls::Lease;
use crate::error::Result;
use crate::lead::{is_over, lead_setters};
use crate::options::{AcquireBuilder, Request};

/// Work to be done by one at a time, its leader; [`call`](Lead::call) leads. Made by [`Client::lead`].
#[must_use = "nobody leads until call()"]
pub struct Lead<W> {
    leading: AcquireBuilder<Client>,
    work: W,
}

impl<W> Lead<W> {
    lead_setters!();
}

impl<W> fmt::Debug for Lead<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.leading, f)
    }
}

impl Client {
    /// Waits for the name as long as it takes, runs `work` under its lease, and does so again whenever the lease is lost; set
    /// options, then [`call`](Lead::call).
    ///
    /// It is as [`Client::lead`](crate::Client::lead), but that nothing stops a thread: the work is to look at
    /// [`lease.held()`](Lease::held) or [`lease.check()`](Lease::check) every now and then, or to sleep by
    /// [`lease.wait_lost`](Lease::wait_lost), and to return when the lease is lost. A panic gives the lease back and goes on.
    ///
    /// ```no_run
    /// # fn run_next_job(_token: u64) -> std::io::Result<()> { Ok(()) }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let client = leaselock::blocking::Client::new("redis://localhost")?;
    /// let work = |lease: &leaselock::blocking::Lease| -> std::io::Result<()> {
    ///     while lease.held() {
    ///         run_next_job(lease.token())?;
    ///         let _ = lease.wait_lost(Some(Duration::from_secs(1)));
    ///     }
    ///     Ok(())
    /// };
    /// client.lead("scheduler", work).ttl(Duration::from_secs(10)).call()??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lead<T, W: FnMut(&Lease) -> T>(&self, name: impl Into<String>, work: W) -> Lead<W> {
        Lead {
            leading: AcquireBuilder::new(self, name.into()),
            work,
        }
    }

    /// See [`Client::acquire_to_lead`](crate::Client::acquire_to_lead).
    ///
    /// # Errors
    /// The same; in a child of a fork [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) too.
    #[doc(hidden)]
    pub fn acquire_to_lead(&self, request: Request) -> Result<Lease> {
        let client = self.async_client();
        let acquired = self.wait_for(async move { client.acquire_to_lead(request).await });
        acquired.map(|lease| self.adopt(lease))
    }
}

impl<T, W: FnMut(&Lease) -> T> Lead<W> {
    /// Leads, blocking, and gives what the work returned under a lease that it held throughout.
    ///
    /// # Errors
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused), [`ClientClosed`](crate::ErrorKind::ClientClosed) or
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn call(mut self) -> Result<T> {
        let request = self.leading.request()?;
        let client = &self.leading.client;
        loop {
            let lease = client.acquire_to_lead(request.clone())?;
            let given = (self.work)(&lease);
            // Where that fails it is tried again in the background, and else the TTL frees the name.
            let _ = lease.release();
            if !is_over(&client.async_client(), lease.as_ref()) {
                return Ok(given);
            }
        }
    }
}
