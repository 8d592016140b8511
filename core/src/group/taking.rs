//! How several locks are taken: all at once if each is free, or else one after the other, in an order that everybody keeps.

use std::time::Duration;

use futures_util::future::{join_all, select_all, try_join_all};
use tokio::time::Instant;

use super::{GroupRequest, LeaseGroup};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Lease;
use crate::options::Request;
use crate::seeded::{Bug, is_seeded};
use crate::store::BoxFuture;

impl Client {
    /// [`acquire_all`](Self::acquire_all) with a request made beforehand.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    pub async fn acquire_all_request(&self, request: GroupRequest) -> Result<LeaseGroup> {
        let started = Instant::now();
        if !request.is_tried_at_once(request.wait() == Some(Duration::ZERO)) {
            // There is no order to keep.
            return self.take_in_order(&request, started, Vec::new()).await;
        }
        let tried = self.try_all(&request.requests).await?;
        self.wait_after(&request, started, tried).await
    }

    /// What has to be done where all of them were tried at the same time, and nobody waited.
    async fn wait_after(
        &self,
        request: &GroupRequest,
        started: Instant,
        tried: Vec<Option<Lease>>,
    ) -> Result<LeaseGroup> {
        match sort_out(&request.requests, tried).await? {
            Tried::All(leases) => Ok(request.held(leases)),
            Tried::Held { name, before } => {
                if request.wait() == Some(Duration::ZERO) {
                    give_back(&before).await?;
                    return Err(in_group(Error::held(name), request.requests.len()));
                }
                self.take_in_order(request, started, before).await
            }
        }
    }

    async fn take_in_order(
        &self,
        request: &GroupRequest,
        started: Instant,
        taken: Vec<Lease>,
    ) -> Result<LeaseGroup> {
        let wait = request.wait();
        let taking = InOrder {
            client: self,
            requests: &request.requests,
            started,
            deadline: wait.and_then(|wait| started.checked_add(wait)),
        };
        Ok(request.held(taking.take(taken).await?))
    }

    /// [`try_acquire_all`](Self::try_acquire_all) with a request made beforehand, whose `wait` is not used.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    pub async fn try_acquire_all_request(
        &self,
        request: GroupRequest,
    ) -> Result<Option<LeaseGroup>> {
        let tried = self.try_all(&request.requests).await?;
        all_or_none(&request, tried).await
    }

    /// Goes on where each of them is being tried already, since `started`.
    pub(crate) async fn go_on_with_all(
        &self,
        request: GroupRequest,
        once: bool,
        started: Instant,
        tried: Vec<BoxFuture<'static, Result<Option<Lease>>>>,
    ) -> Result<Option<LeaseGroup>> {
        let tried = try_join_all(tried).await?;
        if once {
            all_or_none(&request, tried).await
        } else {
            let acquired = self.wait_after(&request, started, tried).await;
            acquired.map(Some)
        }
    }

    /// Either of the two: with `once` it is tried once, and a lock that is held is no error.
    ///
    /// # Errors
    /// See [`acquire`](Self::acquire).
    #[doc(hidden)]
    pub async fn take_all_request(
        &self,
        request: GroupRequest,
        once: bool,
    ) -> Result<Option<LeaseGroup>> {
        if once {
            self.try_acquire_all_request(request).await
        } else {
            self.acquire_all_request(request).await.map(Some)
        }
    }

    /// Tries all of them at the same time.
    async fn try_all(&self, requests: &[Request]) -> Result<Vec<Option<Lease>>> {
        let trying = requests.iter().cloned();
        let trying = trying.map(|request| self.try_acquire_request(request));
        // With the first error the others are dropped, which undoes them.
        try_join_all(trying).await
    }
}

/// What was taken out of turn, behind one that is held, is given back. So it is behind one that was lost again while the others were
/// answered.
async fn sort_out(requests: &[Request], mut tried: Vec<Option<Lease>>) -> Result<Tried<'_>> {
    let is_missing = |lease: &Option<Lease>| lease.as_ref().is_none_or(|it| !is_still_held(it));
    let Some(held) = tried.iter().position(is_missing) else {
        return Ok(Tried::All(tried.into_iter().flatten().collect()));
    };
    let out_of_turn: Vec<Lease> = tried.split_off(held).into_iter().flatten().collect();
    give_back(&out_of_turn).await?;
    Ok(Tried::Held {
        name: requests[held].name(),
        before: tried.into_iter().flatten().collect(),
    })
}

async fn all_or_none(
    request: &GroupRequest,
    tried: Vec<Option<Lease>>,
) -> Result<Option<LeaseGroup>> {
    match sort_out(&request.requests, tried).await? {
        Tried::All(leases) => Ok(Some(request.held(leases))),
        Tried::Held { before, .. } => {
            give_back(&before).await?;
            Ok(None)
        }
    }
}

/// What came of trying all at once.
enum Tried<'a> {
    All(Vec<Lease>),
    Held {
        /// The first name that is missing.
        name: &'a str,
        /// What is held of those in front of it.
        before: Vec<Lease>,
    },
}

/// Taking several locks one after the other.
///
/// Whoever waits for one holds none behind it in the order, so the holder of the last name that anybody in a circle waits for
/// would hold none that another in the circle wants: there is no circle.
struct InOrder<'a> {
    client: &'a Client,
    requests: &'a [Request],
    started: Instant,
    deadline: Option<Instant>,
}

impl InOrder<'_> {
    /// Takes what is missing. `taken` are the first ones in the order.
    async fn take(&self, mut taken: Vec<Lease>) -> Result<Vec<Lease>> {
        loop {
            let Some(next) = self.requests.get(taken.len()) else {
                if taken.iter().all(is_still_held) {
                    return Ok(taken);
                }
                self.begin_anew(&mut taken).await?;
                continue;
            };
            let wait = self
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let acquiring = self.client.acquire_request(next.clone().with_wait(wait));
            let acquired = tokio::select! {
                biased;
                acquired = acquiring => Some(acquired),
                () = first_over(&taken) => None,
            };
            match acquired {
                Some(Ok(lease)) => taken.push(lease),
                Some(Err(error)) => {
                    if is_seeded(Bug::GroupKept) {
                        taken.iter().for_each(Lease::detach);
                    } else {
                        // That one is the error to tell; where this fails, the TTLs free the names.
                        let _ = give_back(&taken).await;
                    }
                    return Err(match error.kind() {
                        ErrorKind::LockTimeout => self.timed_out(next.name()),
                        _ => error,
                    });
                }
                // One that was waited under is lost, as it is without renewals.
                None => self.begin_anew(&mut taken).await?,
            }
        }
    }

    /// All of them once more, while there is time.
    async fn begin_anew(&self, taken: &mut Vec<Lease>) -> Result<()> {
        give_back(taken).await?;
        if self.deadline.is_some_and(|at| at <= Instant::now()) {
            let last = taken.len().min(self.requests.len() - 1);
            return Err(self.timed_out(self.requests[last].name()));
        }
        taken.clear();
        Ok(())
    }

    fn timed_out(&self, name: &str) -> Error {
        let error = Error::timed_out(name, self.started.elapsed());
        in_group(error, self.requests.len())
    }
}

/// Whether a lease that was taken a while ago can be handed out with the others.
fn is_still_held(lease: &Lease) -> bool {
    lease.held() || is_seeded(Bug::GroupUnlooked)
}

fn in_group(error: Error, names: usize) -> Error {
    match names {
        1 => error,
        _ => error.with_advice(&format!("none of the {names} names is held")),
    }
}

/// Completes when the first of them is lost or released; never where there are none.
pub(super) async fn first_over(leases: &[Lease]) {
    if leases.is_empty() {
        std::future::pending::<()>().await;
    }
    select_all(leases.iter().map(|lease| Box::pin(lease.over()))).await;
}

/// Gives all of them back at the same time; whether each was.
pub(super) async fn give_back(leases: &[Lease]) -> Result<bool> {
    let released = join_all(leases.iter().map(Lease::release)).await;
    let mut all = true;
    for released in released {
        all &= released?;
    }
    Ok(all)
}
