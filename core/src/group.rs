//! Several locks, all or none: taken in one order by everybody, held together, and over together.

mod taking;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;

use crate::client::Client;
use crate::error::{Error, LossReason, Result};
use crate::holding::{LossHook, call};
use crate::lease::Lease;
use crate::observe::Context;
use crate::options::{AcquireOptions, Request, Unit};
use crate::seeded::{Bug, is_seeded};
use crate::state::LeaseState;
use crate::sync;

/// More names at once are a sign that one lock above them is meant.
const MAX_NAMES: usize = 64;

/// A checked request for several locks, all or none: in the order in which they are taken, each once.
#[derive(Clone, Debug)]
pub struct GroupRequest {
    /// Without a `min_hold`: what is given back before all are held is free at once.
    requests: Vec<Request>,
    min_hold: Option<Duration>,
}

impl GroupRequest {
    /// Checks everything, puts the names in order, and drops those that are there twice. The options are those of each lock, but
    /// for `wait`, which is for all of them together.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), also for no names, and for more than 64.
    pub fn new(mut names: Vec<String>, options: &AcquireOptions, unit: Unit) -> Result<Self> {
        if !is_seeded(Bug::GroupUnsorted) {
            names.sort_unstable();
        }
        names.dedup();
        if names.is_empty() {
            return Err(Error::invalid(
                "names is empty; it must be 1 to 64 names, to be held together",
            ));
        }
        if names.len() > MAX_NAMES {
            return Err(Error::invalid(format!(
                "names are {} different ones; at most {MAX_NAMES} can be held together: take one lock that stands for them all",
                names.len()
            )));
        }
        let request = |name: &String| Request::new(name, options.clone(), unit);
        let mut requests: Vec<_> = names.iter().map(request).collect::<Result<_>>()?;
        let mut min_hold = None;
        for request in &mut requests {
            min_hold = request.take_min_hold();
        }
        Ok(Self { requests, min_hold })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.requests.iter().map(Request::name)
    }

    /// Each, as it is tried.
    pub(crate) fn each(&self) -> impl Iterator<Item = Request> {
        self.requests.iter().cloned()
    }

    /// Whether all are tried at the same time to begin with: one alone is waited for at once.
    pub(crate) fn is_tried_at_once(&self, once: bool) -> bool {
        once || self.requests.len() > 1
    }

    fn wait(&self) -> Option<Duration> {
        let first = self.requests.first()?;
        first.options().wait
    }

    /// All of them are held.
    pub(crate) fn held(&self, leases: Vec<Lease>) -> LeaseGroup {
        for lease in leases.iter().filter(|_| self.min_hold.is_some()) {
            lease.holding.keep(self.min_hold);
        }
        LeaseGroup::new(leases)
    }

    /// See [`Request::in_context`].
    #[doc(hidden)]
    #[must_use]
    pub fn in_context(self, context: &Context) -> Self {
        let in_context = |request: Request| request.in_context(context.clone());
        Self {
            requests: self.requests.into_iter().map(in_context).collect(),
            ..self
        }
    }
}

/// Collects the options of a group that `client` is asked for.
#[derive(Clone, Debug)]
pub(crate) struct GroupBuilder<C> {
    pub(crate) client: C,
    names: Vec<String>,
    pub(crate) options: AcquireOptions,
}

impl<C: Clone> GroupBuilder<C> {
    pub(crate) fn new(client: &C, names: impl IntoIterator<Item: Into<String>>) -> Self {
        Self {
            client: client.clone(),
            names: names.into_iter().map(Into::into).collect(),
            options: AcquireOptions::default(),
        }
    }

    pub(crate) fn request(self) -> Result<GroupRequest> {
        GroupRequest::new(self.names, &self.options, Unit::Seconds)
    }
}

crate::options::setters! {
    /// An acquire of several locks that waits; `.await` gives a [`LeaseGroup`].
    #[must_use = "nothing is acquired until it is awaited"]
    #[derive(Clone, Debug)]
    pub struct AcquireAll(GroupBuilder<Client>);
    /// An acquire of several locks that tries once; `.await` gives an `Option` of a [`LeaseGroup`].
    #[must_use = "nothing is acquired until it is awaited"]
    #[derive(Clone, Debug)]
    pub struct TryAcquireAll(GroupBuilder<Client>);
}

impl AcquireAll {
    /// How long to wait at most, for all of them together; without it, for ever. Zero tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.0.options.wait = Some(wait);
        self
    }
}

impl IntoFuture for AcquireAll {
    type Output = Result<LeaseGroup>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.0.client.clone();
            client.acquire_all_request(self.0.request()?).await
        })
    }
}

impl IntoFuture for TryAcquireAll {
    type Output = Result<Option<LeaseGroup>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.0.client.clone();
            client.try_acquire_all_request(self.0.request()?).await
        })
    }
}

impl Client {
    /// Acquires several locks, all or none; set options, then `.await` it for a [`LeaseGroup`].
    ///
    /// The names, 1 to 64, are put in order, and one that is there twice is taken once. All of them are tried at once. Unless each
    /// is free they are then waited for one after the other in that order, whatever the order they were given in: so two groups
    /// never wait for each other. The options are those of each lock; `wait` is for all of them together.
    ///
    /// Whoever holds one of the names already, by another lease, waits for themselves: take all in one call. Dropping the future at
    /// any point undoes it in the background. It fails as [`acquire`](Self::acquire) does, and leaves nothing behind.
    ///
    /// ```no_run
    /// # async fn example() -> leaselock::Result<()> {
    /// let client = leaselock::Client::new("redis://localhost")?;
    /// let both = client.acquire_all(["account:7", "account:4"]).await?;
    /// // ... move the money, with both.tokens() ...
    /// both.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_all(&self, names: impl IntoIterator<Item: Into<String>>) -> AcquireAll {
        AcquireAll(GroupBuilder::new(self, names))
    }

    /// Acquires several locks if each is free; set options, then `.await` it for an `Option` of a [`LeaseGroup`]. Where one
    /// is held, none is.
    ///
    /// Two that try at the same time may each find what the other has for that moment, and both get nothing.
    pub fn try_acquire_all(&self, names: impl IntoIterator<Item: Into<String>>) -> TryAcquireAll {
        TryAcquireAll(GroupBuilder::new(self, names))
    }
}

/// Several locks that are held together, until the first of their leases is over.
///
/// Each lock has a lease and a fencing token of its own. The group is held while each of them is. The first that is lost loses
/// the group, and the others are given back at once. Dropping the group gives all of them back, as dropping a
/// [`Lease`](crate::Lease) does.
pub struct LeaseGroup {
    members: Arc<Members>,
}

struct Members {
    leases: Vec<Lease>,
    loss: Mutex<Loss>,
}

enum Loss {
    /// Who is to be told.
    NotYet(Vec<LossHook>),
    /// Which member was the first, and why.
    Of(usize, LossReason),
}

impl Members {
    /// The member of this number is lost, and the group with it. Only the first counts.
    fn lose(&self, member: usize, reason: LossReason) {
        let hooks = {
            let mut loss = sync::lock(&self.loss);
            match &mut *loss {
                Loss::NotYet(hooks) => {
                    let hooks = std::mem::take(hooks);
                    *loss = Loss::Of(member, reason);
                    hooks
                }
                Loss::Of(..) => return,
            }
        };
        if !is_seeded(Bug::GroupLossKept) {
            for lease in &self.leases {
                lease.give_back();
            }
        }
        for hook in hooks {
            call(hook, reason);
        }
    }

    /// The first member that was lost, if one was.
    fn loss(&self) -> Option<(usize, LossReason)> {
        // A deadline that has come is noticed by looking.
        let lost = self.leases.iter().enumerate().find_map(|(member, lease)| {
            let reason = lease.loss_reason()?;
            Some((member, reason))
        });
        if let Some((member, reason)) = lost {
            self.lose(member, reason);
        }
        match *sync::lock(&self.loss) {
            Loss::NotYet(_) => None,
            Loss::Of(member, reason) => Some((member, reason)),
        }
    }
}

impl LeaseGroup {
    fn new(leases: Vec<Lease>) -> Self {
        let members = Arc::new(Members {
            leases,
            loss: Mutex::new(Loss::NotYet(Vec::new())),
        });
        for (member, lease) in members.leases.iter().enumerate() {
            let weak = Arc::downgrade(&members);
            lease.on_lost(Box::new(move |reason| {
                if let Some(members) = weak.upgrade() {
                    members.lose(member, reason);
                }
            }));
        }
        Self { members }
    }

    pub(crate) fn leases(&self) -> &[Lease] {
        &self.members.leases
    }

    /// The names, in the order in which they were taken: that of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.leases().iter().map(Lease::name)
    }

    /// The fencing token of each lock, by name.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<&str, u64> {
        self.leases()
            .iter()
            .map(|lease| (lease.name(), lease.token()))
            .collect()
    }

    /// The owner string of each lock, by name: what the store has for it.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<&str, &str> {
        self.leases()
            .iter()
            .map(|lease| (lease.name(), lease.owner()))
            .collect()
    }

    /// The TTL that renewals set.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        let ttls = self.leases().iter().map(Lease::ttl);
        ttls.min().unwrap_or_default()
    }

    /// Time to the first local deadline; zero when the group is over.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        let left = self.leases().iter().map(Lease::expires_in);
        left.min().unwrap_or_default()
    }

    /// What the group is now: lost with the first member, unsure while one of them is.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        if self.members.loss().is_some() {
            return LeaseState::Lost;
        }
        let mut seen = LeaseState::Held;
        for lease in self.leases() {
            match lease.state() {
                LeaseState::Held => {}
                LeaseState::Unsure => seen = LeaseState::Unsure,
                over => return over,
            }
        }
        seen
    }

    /// Whether all the locks are held now, as far as can be known without asking the store.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self.state(), LeaseState::Held | LeaseState::Unsure)
    }

    /// Fails unless all the locks are held.
    ///
    /// # Errors
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost), which names the lock that was lost first.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = self.loss_error() {
            return Err(error);
        }
        self.leases().iter().try_for_each(Lease::check)
    }

    /// Why the first member was lost, if one was.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.members.loss().map(|(_, reason)| reason)
    }

    fn loss_error(&self) -> Option<Error> {
        let (member, reason) = self.members.loss()?;
        Some(self.loss_of(self.leases()[member].name(), reason))
    }

    fn loss_of(&self, name: &str, reason: LossReason) -> Error {
        let error = Error::lost(name, reason);
        match self.leases().len() {
            1 => error,
            _ => error.with_advice("what was held together with it is given back"),
        }
    }

    /// The error of having lost the group on the way, for the end of a scope.
    #[doc(hidden)]
    #[must_use]
    pub fn lost_error(&self) -> Option<Error> {
        self.loss_error().or_else(|| {
            // Only the release noticed.
            let mut gone = self.leases().iter().filter_map(Lease::lost_error);
            gone.next()
        })
    }

    /// Whether dropping the group has nothing to give back.
    #[doc(hidden)]
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.leases().iter().all(Lease::is_settled)
    }

    /// Calls `hook` once when the group is lost, at once if it is, and never for a release. It runs on the client's
    /// runtime and must not block.
    pub fn on_lost(&self, hook: LossHook) {
        let reason = {
            let mut loss = sync::lock(&self.members.loss);
            match &mut *loss {
                Loss::NotYet(hooks) => {
                    hooks.push(hook);
                    None
                }
                Loss::Of(_, reason) => Some((hook, *reason)),
            }
        };
        match reason {
            Some((hook, reason)) => call(hook, reason),
            // A deadline that has come is noticed by looking.
            None => drop(self.members.loss()),
        }
    }

    /// Completes when the group is lost, at once if it is; never after a release.
    pub async fn lost(&self) -> LossReason {
        self.over().await;
        match self.loss_reason() {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Waits until the group is over, at most for `timeout`; whether it was lost. `false` when the time ran out first, or
    /// when the group was released.
    pub async fn wait_lost(&self, timeout: Option<Duration>) -> bool {
        match timeout {
            Some(timeout) => {
                let _ = tokio::time::timeout(timeout, self.over()).await;
            }
            None => self.over().await,
        }
        self.loss_reason().is_some()
    }

    /// Completes when the first member is lost or released.
    async fn over(&self) {
        taking::first_over(self.leases()).await;
    }

    /// Makes each lease end exactly `ttl` from now, or its own TTL when `None`, and renewals set that from now on.
    ///
    /// # Errors
    /// Those of [`Lease::extend`](crate::Lease::extend). Other members may have been extended where one fails.
    pub async fn extend(&self, ttl: Option<Duration>) -> Result<()> {
        self.check()?;
        let extended = self.leases().iter().map(|lease| lease.extend(ttl));
        let extended = join_all(extended).await;
        self.check()?;
        extended.into_iter().collect()
    }

    /// Gives all the locks back. `true` when this group gave each of them back, also when asked again; `false` when one had
    /// already gone. From the call on none is held, whatever comes of it.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) and
    /// [`StoreRefused`](crate::ErrorKind::StoreRefused); it may be tried again, and else each lock is free when its TTL ends.
    pub async fn release(&self) -> Result<bool> {
        taking::give_back(self.leases()).await
    }
}

impl fmt::Debug for LeaseGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseGroup")
            .field("tokens", &self.tokens())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
