//! A lease of the core, and what becomes of it when nobody refers to it any more.

use std::sync::{Arc, Weak};

use leaselock::options::{Unit, duration};
use napi::{Either, Env};
use napi_derive::napi;

use crate::failure::Failure;
use crate::logs::Subscription;
use crate::mailbox::Mailbox;
use crate::outcome::{Event, Outcome, millis};

/// A lease of the core. Collected unreleased it is given back, and that is reported.
#[napi]
pub struct NativeLease {
    pub(crate) core: Arc<leaselock::Lease>,
    source: Arc<Subscription>,
}

impl NativeLease {
    pub(crate) fn new(core: leaselock::Lease, source: Arc<Subscription>) -> Self {
        Self {
            core: Arc::new(core),
            source,
        }
    }
}

#[napi]
impl NativeLease {
    #[napi(getter)]
    pub fn name(&self) -> &str {
        self.core.name()
    }

    #[napi(getter)]
    pub fn owner(&self) -> &str {
        self.core.owner()
    }

    #[napi(getter)]
    pub fn token(&self) -> f64 {
        token(&self.core)
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

    /// Released, detached or lost: nothing is left to give back.
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

    /// The process stays alive until the store has the TTL of a lease that has just been handed over.
    #[napi]
    pub fn detach(&self, env: Env) {
        let core = self.core.clone();
        core.detach();
        self.source
            .mailbox
            .submit(&env, async move { core.detached().await });
    }
}

impl Drop for NativeLease {
    fn drop(&mut self) {
        if !self.core.is_settled() {
            self.source.mailbox.report(Event::Collected {
                name: self.core.name().to_owned(),
                owner: self.core.owner().to_owned(),
            });
        }
    }
}

/// What came of an acquire; from now on the loss of the lease is reported.
pub(crate) fn outcome(
    acquired: leaselock::Result<Option<leaselock::Lease>>,
    source: Arc<Subscription>,
) -> Outcome {
    match acquired {
        Ok(Some(lease)) => {
            report_loss(&lease, Arc::downgrade(&source.mailbox));
            Outcome::Lease(lease, source)
        }
        Ok(None) => Outcome::Done,
        Err(error) => Outcome::Failed(error.into()),
    }
}

fn report_loss(lease: &leaselock::Lease, mailbox: Weak<Mailbox>) {
    let owner = lease.owner().to_owned();
    lease.on_lost(Box::new(move |_| {
        if let Some(mailbox) = mailbox.upgrade() {
            mailbox.report(Event::Lost { owner });
        }
    }));
}

/// Tokens stay below 2^53.
#[allow(clippy::cast_precision_loss)]
fn token(lease: &leaselock::Lease) -> f64 {
    lease.token() as f64
}
