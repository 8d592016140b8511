//! Several leases of the core that are held together.

use std::sync::Arc;

use leaselock::options::{Unit, duration};
use napi::{Either, Env};
use napi_derive::napi;

use crate::failure::Failure;
use crate::logs::Subscription;
use crate::outcome::{Event, Outcome, millis};

/// A group of leases of the core. Collected unreleased it is given back, and that is reported.
#[napi]
pub struct NativeGroup {
    pub(crate) core: Arc<leaselock::LeaseGroup>,
    source: Arc<Subscription>,
}

impl NativeGroup {
    pub(crate) fn new(core: leaselock::LeaseGroup, source: Arc<Subscription>) -> Self {
        Self {
            core: Arc::new(core),
            source,
        }
    }
}

#[napi]
impl NativeGroup {
    #[napi(getter)]
    pub fn names(&self) -> Vec<String> {
        self.core.names().map(str::to_owned).collect()
    }

    /// In the order of the names.
    #[napi(getter)]
    #[allow(clippy::cast_precision_loss, reason = "tokens stay below 2^53")]
    pub fn tokens(&self) -> Vec<f64> {
        let tokens = self.core.tokens();
        tokens.into_values().map(|token| token as f64).collect()
    }

    /// In the order of the names.
    #[napi(getter)]
    pub fn owners(&self) -> Vec<String> {
        let owners = self.core.owners();
        owners.into_values().map(str::to_owned).collect()
    }

    /// Unique to the group: the owner of its first lease.
    #[napi(getter)]
    pub fn owner(&self) -> String {
        owner(&self.core)
    }

    #[napi(getter)]
    pub fn ttl(&self) -> f64 {
        millis(self.core.ttl())
    }

    #[napi(getter)]
    pub fn expires_in(&self) -> f64 {
        millis(self.core.expires_in())
    }

    #[napi(getter, ts_return_type = "'held' | 'unsure' | 'lost' | 'released'")]
    pub fn state(&self) -> &'static str {
        self.core.state().as_str()
    }

    #[napi(getter)]
    pub fn held(&self) -> bool {
        self.core.held()
    }

    /// Released or lost: nothing is left to give back.
    #[napi(getter)]
    pub fn settled(&self) -> bool {
        self.core.is_settled()
    }

    /// Null when it is held.
    #[napi]
    pub fn check(&self) -> Option<Failure> {
        self.core.check().err().map(Failure::from)
    }

    /// Null unless it was lost.
    #[napi]
    pub fn loss(&self) -> Option<Failure> {
        self.core.lost_error().map(Failure::from)
    }

    #[napi]
    pub fn extend(&self, env: Env, ttl: Option<f64>) -> Either<u32, Failure> {
        let ttl = match ttl
            .map(|ttl| duration("ttl", ttl, Unit::Milliseconds))
            .transpose()
        {
            Ok(ttl) => ttl,
            Err(error) => return Either::B(error.into()),
        };
        let core = self.core.clone();
        Either::A(
            self.source
                .mailbox
                .submit(&env, async move { core.extend(ttl).await }),
        )
    }
}

impl Drop for NativeGroup {
    fn drop(&mut self) {
        if !self.core.is_settled() {
            let (names, owners) = (self.names(), self.owners());
            let event = Event::GroupCollected { names, owners };
            self.source.mailbox.report(event);
        }
    }
}

/// What came of an acquire; from now on the loss of the group is reported.
pub(crate) fn outcome(
    acquired: leaselock::Result<Option<leaselock::LeaseGroup>>,
    source: Arc<Subscription>,
) -> Outcome {
    match acquired {
        Ok(Some(group)) => {
            let (owner, mailbox) = (owner(&group), Arc::downgrade(&source.mailbox));
            group.on_lost(Box::new(move |_| {
                if let Some(mailbox) = mailbox.upgrade() {
                    mailbox.report(Event::Lost { owner });
                }
            }));
            Outcome::Group(group, source)
        }
        Ok(None) => Outcome::Done,
        Err(error) => Outcome::Failed(error.into()),
    }
}

fn owner(group: &leaselock::LeaseGroup) -> String {
    group
        .owners()
        .into_values()
        .next()
        .unwrap_or_default()
        .to_owned()
}
