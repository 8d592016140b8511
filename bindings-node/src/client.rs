//! A client of the core, its calls turned into operations.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leaselock::GroupRequest;
use leaselock::options::{AcquireOptions, Request, Unit, duration};
use napi::{Either, Env};
use napi_derive::napi;

use crate::at_exit;
use crate::failure::Failure;
use crate::group::{self, NativeGroup};
use crate::lease::{self, NativeLease};
use crate::line::{ClientLine, Platform};
use crate::locks::NativeLocks;
use crate::logs::Subscription;
use crate::mailbox::Mailbox;
use crate::observe::Context;

/// How long an aborted acquire keeps the process alive for being undone. A server that is there answers within
/// milliseconds; one that is not must not keep a process from ending.
const UNDO_TIMEOUT: Duration = Duration::from_secs(1);

/// Durations in milliseconds.
#[allow(
    clippy::too_many_arguments,
    reason = "as they come from JavaScript, one by one"
)]
fn request(
    name: &str,
    ttl: Option<f64>,
    wait: Option<f64>,
    renew: Option<bool>,
    max_hold: Option<f64>,
    min_hold: Option<f64>,
    label: Option<String>,
    (shared, permits): (Option<bool>, Option<f64>),
) -> leaselock::Result<Request> {
    let options = options(
        ttl,
        wait,
        renew,
        max_hold,
        min_hold,
        label,
        (shared, permits),
    )?;
    Request::new(name, options, Unit::Milliseconds)
}

fn options(
    ttl: Option<f64>,
    wait: Option<f64>,
    renew: Option<bool>,
    max_hold: Option<f64>,
    min_hold: Option<f64>,
    label: Option<String>,
    (shared, permits): (Option<bool>, Option<f64>),
) -> leaselock::Result<AcquireOptions> {
    let millis = |field, value: Option<f64>| {
        value
            .map(|value| duration(field, value, Unit::Milliseconds))
            .transpose()
    };
    let mut options = AcquireOptions::default();
    if let Some(ttl) = millis("ttl", ttl)? {
        options.ttl = ttl;
    }
    options.wait = millis("wait", wait)?;
    options.max_hold = millis("maxHold", max_hold)?;
    options.min_hold = millis("minHold", min_hold)?;
    options.renew = renew.unwrap_or(options.renew);
    options.label = label;
    options.shared = shared.unwrap_or_default();
    options.permits = permits.map(leaselock::options::permits).transpose()?;
    Ok(options)
}

/// The request, of which observers hear in this context.
fn observed(request: Request, context: Option<Arc<Context>>) -> Request {
    match context {
        Some(context) => request.in_context(context),
        None => request,
    }
}

/// The counters of a client.
#[napi(object, object_from_js = false)]
pub struct NativeStats {
    pub held: f64,
    pub waiting: f64,
    pub acquired: f64,
    pub contended: f64,
    pub timed_out: f64,
    pub cancelled: f64,
    pub released: f64,
    pub lost: f64,
    pub renewals: f64,
    pub renew_failures: f64,
    pub reconnects: f64,
}

/// A client of the core.
#[napi]
pub struct NativeClient {
    core: leaselock::Client,
    source: Arc<Subscription>,
    line: Option<Rc<ClientLine>>,
}

impl NativeClient {
    pub(crate) fn new(
        core: leaselock::Client,
        mailbox: Arc<Mailbox>,
        platform: Option<Rc<Platform>>,
    ) -> Self {
        let source = Subscription::new(&core, mailbox);
        let line = platform.map(|platform| ClientLine::new(platform, source.clone()));
        Self { core, source, line }
    }

    fn mailbox(&self) -> &Arc<Mailbox> {
        &self.source.mailbox
    }

    fn begin(&self, env: &Env, request: Request, once: bool) -> leaselock::Result<u32> {
        let on_line = match &self.line {
            Some(line) => line.acquire(env, &self.core, request, once),
            None => Err(request),
        };
        let request = match on_line {
            Ok(begun) => return begun,
            Err(request) => request,
        };
        let (core, source) = (self.core.clone(), self.source.clone());
        Ok(self.mailbox().submit(env, async move {
            lease::outcome(core.take_request(request, once).await, source)
        }))
    }
}

#[napi]
impl NativeClient {
    #[napi(getter)]
    pub fn app_id(&self) -> &str {
        self.core.app_id()
    }

    #[napi(getter)]
    pub fn id(&self) -> &str {
        self.core.id()
    }

    #[napi(getter)]
    pub fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// The number of the submitted operation, or why it was refused before anything was sent. With `once` it is tried
    /// once, without an error where somebody else holds the name.
    #[napi]
    #[allow(
        clippy::too_many_arguments,
        reason = "an object of options takes longer to read than the rest of the call takes"
    )]
    pub fn acquire(
        &self,
        env: Env,
        once: bool,
        name: String,
        ttl: Option<f64>,
        wait: Option<f64>,
        renew: Option<bool>,
        max_hold: Option<f64>,
        min_hold: Option<f64>,
        label: Option<String>,
        shared: Option<bool>,
        permits: Option<f64>,
        context: Option<u32>,
    ) -> Either<u32, Failure> {
        // Also where the request is refused, its number is gone then.
        let context = context.map(|number| Context::new(number, self.mailbox()));
        let kind = (shared, permits);
        let begun = request(&name, ttl, wait, renew, max_hold, min_hold, label, kind)
            .and_then(|request| self.begin(&env, observed(request, context), once));
        match begun {
            Ok(op) => Either::A(op),
            Err(error) => Either::B(error.into()),
        }
    }

    /// The same for several names, all or none.
    #[napi]
    #[allow(
        clippy::too_many_arguments,
        reason = "an object of options takes longer to read than the rest of the call takes"
    )]
    pub fn acquire_all(
        &self,
        env: Env,
        once: bool,
        names: Vec<String>,
        ttl: Option<f64>,
        wait: Option<f64>,
        renew: Option<bool>,
        max_hold: Option<f64>,
        min_hold: Option<f64>,
        label: Option<String>,
        shared: Option<bool>,
        permits: Option<f64>,
        context: Option<u32>,
    ) -> Either<u32, Failure> {
        let context = context.map(|number| Context::new(number, self.mailbox()));
        let request = options(
            ttl,
            wait,
            renew,
            max_hold,
            min_hold,
            label,
            (shared, permits),
        )
        .and_then(|options| GroupRequest::new(names, &options, Unit::Milliseconds));
        let request = match (request, context) {
            (Ok(request), Some(context)) => {
                let context: leaselock::Context = context;
                request.in_context(&context)
            }
            (Ok(request), None) => request,
            (Err(error), _) => return Either::B(error.into()),
        };
        let on_line = match &self.line {
            Some(line) => line.acquire_all(&env, &self.core, request, once),
            None => Err(request),
        };
        let request = match on_line {
            Ok(Ok(op)) => return Either::A(op),
            Ok(Err(error)) => return Either::B(error.into()),
            Err(request) => request,
        };
        let (core, source) = (self.core.clone(), self.source.clone());
        Either::A(self.mailbox().submit(&env, async move {
            group::outcome(core.take_all_request(request, once).await, source)
        }))
    }

    /// The same for whoever is to lead: it waits as long as it takes, and tries a store that cannot be reached again.
    #[napi]
    pub fn acquire_to_lead(
        &self,
        env: Env,
        name: String,
        ttl: Option<f64>,
        max_hold: Option<f64>,
        label: Option<String>,
        context: Option<u32>,
    ) -> Either<u32, Failure> {
        let context = context.map(|number| Context::new(number, self.mailbox()));
        let request = match request(&name, ttl, None, None, max_hold, None, label, (None, None)) {
            Ok(request) => observed(request, context),
            Err(error) => return Either::B(error.into()),
        };
        let (core, source) = (self.core.clone(), self.source.clone());
        Either::A(self.mailbox().submit(&env, async move {
            lease::outcome(core.acquire_to_lead(request).await.map(Some), source)
        }))
    }

    /// Stops an acquire; nothing is delivered for it any more. The process stays alive for undoing it.
    #[napi]
    pub fn cancel(&self, env: Env, op: u32) {
        let stopped = self.mailbox().cancel(&env, op);
        let on_line = self.line.as_ref().and_then(|line| line.cancel(op));
        let (core, source) = (self.core.clone(), self.source.clone());
        let undone = async move {
            stopped.await;
            if let Some(over) = on_line {
                let _ = over.await;
            }
            core.settled().await;
            drop(source);
        };
        self.mailbox().submit(&env, async move {
            let _ = tokio::time::timeout(UNDO_TIMEOUT, undone).await;
        });
    }

    #[napi]
    pub fn release_lease(&self, env: Env, lease: &NativeLease) -> u32 {
        let on_line = self.line.as_ref();
        let begun = on_line.and_then(|line| line.release(&env, &lease.core));
        begun.unwrap_or_else(|| {
            let (core, source) = (lease.core.clone(), self.source.clone());
            self.mailbox().submit(&env, async move {
                let released = core.release().await;
                drop(source);
                released
            })
        })
    }

    #[napi]
    pub fn release_group(&self, env: Env, group: &NativeGroup) -> u32 {
        let on_line = self.line.as_ref();
        let begun = on_line.and_then(|line| line.release_all(&env, &group.core));
        begun.unwrap_or_else(|| {
            let (core, source) = (group.core.clone(), self.source.clone());
            self.mailbox().submit(&env, async move {
                let released = core.release().await;
                drop(source);
                released
            })
        })
    }

    #[napi]
    pub fn release(&self, env: Env, name: String, owner: String) -> u32 {
        let core = self.core.clone();
        self.mailbox()
            .submit(&env, async move { core.release(&name, &owner).await })
    }

    #[napi]
    pub fn extend(&self, env: Env, name: String, owner: String, ttl: f64) -> Either<u32, Failure> {
        let unit = Unit::Milliseconds;
        let ttl = match duration("ttl", ttl, unit) {
            Ok(ttl) => ttl,
            Err(error) => return Either::B(error.into()),
        };
        let core = self.core.clone();
        Either::A(self.mailbox().submit(&env, async move {
            core.extend_by_hand(&name, &owner, ttl, unit).await
        }))
    }

    #[napi]
    pub fn force_release(&self, env: Env, name: String) -> u32 {
        let core = self.core.clone();
        self.mailbox()
            .submit(&env, async move { core.force_release(&name).await })
    }

    #[napi]
    pub fn inspect(&self, env: Env, name: String) -> u32 {
        let core = self.core.clone();
        self.mailbox()
            .submit(&env, async move { core.inspect(&name).await })
    }

    #[napi]
    pub fn locks(&self, pattern: String) -> Either<NativeLocks, Failure> {
        match self.core.locks(&pattern) {
            Ok(locks) => Either::A(NativeLocks::new(locks, self.mailbox().clone())),
            Err(error) => Either::B(error.into()),
        }
    }

    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "counters stay below 2^53")]
    pub fn stats(&self) -> NativeStats {
        let stats = self.core.stats();
        NativeStats {
            held: stats.held as f64,
            waiting: stats.waiting as f64,
            acquired: stats.acquired as f64,
            contended: stats.contended as f64,
            timed_out: stats.timed_out as f64,
            cancelled: stats.cancelled as f64,
            released: stats.released as f64,
            lost: stats.lost as f64,
            renewals: stats.renewals as f64,
            renew_failures: stats.renew_failures as f64,
            reconnects: stats.reconnects as f64,
        }
    }

    #[napi]
    pub fn close(&self, env: Env) -> u32 {
        if let Some(line) = &self.line {
            line.close();
        }
        let core = self.core.clone();
        // Asked for twice, the second answer comes before the end.
        let is_first = !core.is_closed();
        let mailbox = self.mailbox().clone();
        self.mailbox().submit(&env, async move {
            let closed = core.close().await;
            mailbox.tell_observed();
            if is_first {
                at_exit::forget(&core);
            }
            closed
        })
    }
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.close();
        }
    }
}
