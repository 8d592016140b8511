//! The two faces of the Rust API that scenarios run through, behind one pair of traits: async and blocking.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leaselock::{Client, ClientBuilder, Error, Holder, LockInfo, Stats, Unit, blocking, duration};
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};

use crate::file::{Leading, Take, TakeAll, Work};
use crate::observations::observer;

/// A failed step, as the file describes errors.
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.code)?;
        if let Some(reason) = &self.reason {
            write!(f, ", {reason}")?;
        }
        write!(f, "): {}", self.message)
    }
}

pub(crate) type Outcome<T = Value> = Result<T, Failed>;

impl Failed {
    pub(crate) fn driver(message: String) -> Self {
        Self {
            name: "driver".to_owned(),
            code: String::new(),
            reason: None,
            message,
        }
    }

    pub(crate) fn value(&self) -> Value {
        json!({ "name": self.name, "code": self.code, "reason": self.reason })
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            name: error.kind().name().to_owned(),
            code: error.kind().code().to_owned(),
            reason: error.loss_reason().map(|reason| reason.as_str().to_owned()),
            message: error.to_string(),
        }
    }
}

pub(crate) trait Face: Sync {
    fn client(
        &self,
        url: &str,
        app: Option<&str>,
        command_timeout: Option<f64>,
    ) -> Outcome<Arc<dyn FaceClient>>;
}

pub(crate) trait FaceClient: Send + Sync {
    fn acquire(&self, take: &Take) -> Outcome<Arc<dyn FaceLease>>;
    fn try_acquire(&self, take: &Take) -> Outcome<Option<Arc<dyn FaceLease>>>;
    fn acquire_all(&self, take: &TakeAll) -> Outcome<Arc<dyn FaceLease>>;
    fn try_acquire_all(&self, take: &TakeAll) -> Outcome<Option<Arc<dyn FaceLease>>>;
    fn lead(&self, leading: &Leading) -> Outcome;
    fn release(&self, name: &str, owner: &str) -> Outcome;
    fn force_release(&self, name: &str) -> Outcome;
    fn extend(&self, name: &str, owner: &str, ttl: f64) -> Outcome;
    fn inspect(&self, name: &str) -> Outcome;
    fn locks(&self, pattern: &str) -> Outcome;
    fn stats(&self) -> Value;
    fn close(&self) -> Outcome<()>;
}

pub(crate) trait FaceLease: Send + Sync {
    fn look(&self) -> Value;
    fn check(&self) -> Outcome<()>;
    fn detach(&self);
    fn extend(&self, ttl: Option<f64>) -> Outcome<()>;
    fn release(&self) -> Outcome<bool>;
    fn wait_lost(&self, timeout: f64) -> Outcome<Option<String>>;
}

fn millis(field: &'static str, value: f64) -> Outcome<Duration> {
    Ok(duration(field, value, Unit::Milliseconds)?)
}

fn in_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn builder(url: &str, app: Option<&str>, command_timeout: Option<f64>) -> Outcome<ClientBuilder> {
    let mut builder = Client::builder().url(url).observer(observer());
    if let Some(app) = app {
        builder = builder.app_id(app);
    }
    if let Some(timeout) = command_timeout {
        builder = builder.command_timeout(millis("command_timeout", timeout)?);
    }
    Ok(builder)
}

/// Sets on a request what the step names, through the methods that users call.
macro_rules! with_arguments {
    ($request:expr, $take:expr $(, $wait:ident)?) => {{
        let (mut request, take) = ($request, $take);
        if let Some(ttl) = take.ttl {
            request = request.ttl(millis("ttl", ttl)?);
        }
        $(if let Some(wait) = take.wait {
            request = request.$wait(millis("wait", wait)?);
        })?
        if let Some(renew) = take.renew {
            request = request.renew(renew);
        }
        if let Some(max_hold) = take.max_hold {
            request = request.max_hold(millis("max_hold", max_hold)?);
        }
        if let Some(min_hold) = take.min_hold {
            request = request.min_hold(millis("min_hold", min_hold)?);
        }
        if let Some(label) = &take.label {
            request = request.label(label);
        }
        if take.shared == Some(true) {
            request = request.shared();
        }
        if let Some(permits) = take.permits {
            request = request.permits(permits);
        }
        request
    }};
}

/// Sets on what leads what the step names, through the methods that users call.
macro_rules! with_leading {
    ($lead:expr, $leading:expr) => {{
        let (mut lead, leading) = ($lead, $leading);
        if let Some(ttl) = leading.ttl {
            lead = lead.ttl(millis("ttl", ttl)?);
        }
        if let Some(max_hold) = leading.max_hold {
            lead = lead.max_hold(millis("max_hold", max_hold)?);
        }
        if let Some(label) = &leading.label {
            lead = lead.label(label);
        }
        lead
    }};
}

/// What a leader's work has met.
#[derive(Default)]
struct Led(Mutex<Vec<u64>>);

impl Led {
    /// Notes a lease down; what the work is to do under it.
    fn begin(&self, leading: &Leading, token: u64) -> Work {
        let mut tokens = self.0.lock().unwrap();
        tokens.push(token);
        leading.works[tokens.len() - 1]
    }

    /// What an end of the work is, as the file describes it.
    fn end(&self, work: Work) -> Outcome {
        if matches!(work, Work::Raise) {
            return Err(Failed {
                name: "WorkError".to_owned(),
                ..Failed::driver("the work fails".to_owned())
            });
        }
        let tokens = self.0.lock().unwrap();
        Ok(json!({ "led": tokens.len(), "newer": tokens.is_sorted_by(|a, b| a < b) }))
    }
}

/// What a lease shows, the same for both faces.
macro_rules! look {
    ($lease:expr) => {{
        let lease = $lease;
        json!({
            "name": lease.name(),
            "owner": lease.owner(),
            "token": lease.token(),
            "ttl": in_ms(lease.ttl()),
            "expires_in": in_ms(lease.expires_in()),
            "state": lease.state().as_str(),
            "held": lease.held(),
        })
    }};
}

/// What a group shows, the same for both faces.
macro_rules! look_at_all {
    ($group:expr) => {{
        let group = $group;
        json!({
            "names": group.names().collect::<Vec<_>>(),
            "tokens": group.tokens().values().collect::<Vec<_>>(),
            "ttl": in_ms(group.ttl()),
            "expires_in": in_ms(group.expires_in()),
            "state": group.state().as_str(),
            "held": group.held(),
        })
    }};
}

fn info(info: &LockInfo) -> Value {
    json!({
        "name": info.name,
        "owner": info.owner,
        "expires_in": info.expires_in.map(in_ms),
        "waiters": info.waiters,
        "mode": info.mode.as_str(),
        "holders": info.holders.iter().map(holder).collect::<Vec<_>>(),
        "holder_count": info.holder_count,
    })
}

fn holder(holder: &Holder) -> Value {
    json!({ "owner": holder.owner, "expires_in": holder.expires_in.map(in_ms) })
}

fn listed(mut locks: Vec<LockInfo>) -> Value {
    locks.sort_by(|a, b| a.name.cmp(&b.name));
    locks.iter().map(info).collect()
}

fn counters(stats: &Stats) -> Value {
    json!({
        "held": stats.held,
        "waiting": stats.waiting,
        "acquired": stats.acquired,
        "contended": stats.contended,
        "timed_out": stats.timed_out,
        "cancelled": stats.cancelled,
        "released": stats.released,
        "lost": stats.lost,
        "renewals": stats.renewals,
        "renew_failures": stats.renew_failures,
        "reconnects": stats.reconnects,
    })
}

// -- async --

pub(crate) struct AsyncFace(Runtime);

impl AsyncFace {
    pub(crate) fn new() -> Self {
        Self(Runtime::new().expect("a runtime"))
    }
}

struct AsyncClient(Client, Handle);
struct AsyncLease(leaselock::Lease, Handle);
struct AsyncGroup(leaselock::LeaseGroup, Handle);

impl Face for AsyncFace {
    fn client(
        &self,
        url: &str,
        app: Option<&str>,
        command_timeout: Option<f64>,
    ) -> Outcome<Arc<dyn FaceClient>> {
        let _inside = self.0.enter();
        let client = builder(url, app, command_timeout)?.build()?;
        Ok(Arc::new(AsyncClient(client, self.0.handle().clone())))
    }
}

impl FaceClient for AsyncClient {
    fn acquire(&self, take: &Take) -> Outcome<Arc<dyn FaceLease>> {
        let request = with_arguments!(self.0.acquire(&take.name), take, wait);
        let lease = self.1.block_on(request.into_future())?;
        Ok(Arc::new(AsyncLease(lease, self.1.clone())))
    }

    fn try_acquire(&self, take: &Take) -> Outcome<Option<Arc<dyn FaceLease>>> {
        let request = with_arguments!(self.0.try_acquire(&take.name), take);
        let lease = self.1.block_on(request.into_future())?;
        Ok(lease.map(|lease| Arc::new(AsyncLease(lease, self.1.clone())) as _))
    }

    fn acquire_all(&self, take: &TakeAll) -> Outcome<Arc<dyn FaceLease>> {
        let request = with_arguments!(self.0.acquire_all(&take.names), take, wait);
        let group = self.1.block_on(request.into_future())?;
        Ok(Arc::new(AsyncGroup(group, self.1.clone())))
    }

    fn try_acquire_all(&self, take: &TakeAll) -> Outcome<Option<Arc<dyn FaceLease>>> {
        let request = with_arguments!(self.0.try_acquire_all(&take.names), take);
        let group = self.1.block_on(request.into_future())?;
        Ok(group.map(|group| Arc::new(AsyncGroup(group, self.1.clone())) as _))
    }

    fn lead(&self, leading: &Leading) -> Outcome {
        let led = &Led::default();
        let works = |lease: Arc<leaselock::Lease>| async move {
            let work = led.begin(leading, lease.token());
            if matches!(work, Work::Stay) {
                std::future::pending::<()>().await;
            }
            led.end(work)
        };
        let leader = with_leading!(self.0.lead(&leading.name, works), leading);
        self.1.block_on(leader.into_future())?
    }

    fn release(&self, name: &str, owner: &str) -> Outcome {
        Ok(self
            .1
            .block_on(self.0.release(name, owner))?
            .as_str()
            .into())
    }

    fn force_release(&self, name: &str) -> Outcome {
        Ok(self.1.block_on(self.0.force_release(name))?.as_str().into())
    }

    fn extend(&self, name: &str, owner: &str, ttl: f64) -> Outcome {
        let extending = self.0.extend(name, owner, millis("ttl", ttl)?);
        Ok(self.1.block_on(extending)?.as_str().into())
    }

    fn inspect(&self, name: &str) -> Outcome {
        let found = self.1.block_on(self.0.inspect(name))?;
        Ok(found.as_ref().map_or(Value::Null, info))
    }

    fn locks(&self, pattern: &str) -> Outcome {
        let mut locks = self.0.locks(pattern)?;
        let mut found = Vec::new();
        while let Some(lock) = self.1.block_on(locks.next()) {
            found.push(lock?);
        }
        Ok(listed(found))
    }

    fn stats(&self) -> Value {
        counters(&self.0.stats())
    }

    fn close(&self) -> Outcome<()> {
        Ok(self.1.block_on(self.0.close())?)
    }
}

impl FaceLease for AsyncLease {
    fn look(&self) -> Value {
        look!(&self.0)
    }

    fn check(&self) -> Outcome<()> {
        Ok(self.0.check()?)
    }

    fn detach(&self) {
        self.0.detach();
    }

    fn extend(&self, ttl: Option<f64>) -> Outcome<()> {
        let ttl = ttl.map(|ttl| millis("ttl", ttl)).transpose()?;
        Ok(self.1.block_on(self.0.extend(ttl))?)
    }

    fn release(&self) -> Outcome<bool> {
        Ok(self.1.block_on(self.0.release())?)
    }

    fn wait_lost(&self, timeout: f64) -> Outcome<Option<String>> {
        let timeout = millis("timeout", timeout)?;
        let lost = self
            .1
            .block_on(async { tokio::time::timeout(timeout, self.0.lost()).await });
        Ok(lost.ok().map(|reason| reason.as_str().to_owned()))
    }
}

impl FaceLease for AsyncGroup {
    fn look(&self) -> Value {
        look_at_all!(&self.0)
    }

    fn check(&self) -> Outcome<()> {
        Ok(self.0.check()?)
    }

    fn detach(&self) {
        unreachable!("a group is not detached");
    }

    fn extend(&self, ttl: Option<f64>) -> Outcome<()> {
        let ttl = ttl.map(|ttl| millis("ttl", ttl)).transpose()?;
        Ok(self.1.block_on(self.0.extend(ttl))?)
    }

    fn release(&self) -> Outcome<bool> {
        Ok(self.1.block_on(self.0.release())?)
    }

    fn wait_lost(&self, timeout: f64) -> Outcome<Option<String>> {
        let timeout = millis("timeout", timeout)?;
        let lost = self
            .1
            .block_on(async { tokio::time::timeout(timeout, self.0.lost()).await });
        Ok(lost.ok().map(|reason| reason.as_str().to_owned()))
    }
}

// -- blocking --

pub(crate) struct BlockingFace;

struct BlockingClient(blocking::Client);
struct BlockingLease(blocking::Lease);
struct BlockingGroup(blocking::LeaseGroup);

impl Face for BlockingFace {
    fn client(
        &self,
        url: &str,
        app: Option<&str>,
        command_timeout: Option<f64>,
    ) -> Outcome<Arc<dyn FaceClient>> {
        let client = builder(url, app, command_timeout)?.build_blocking()?;
        Ok(Arc::new(BlockingClient(client)))
    }
}

impl FaceClient for BlockingClient {
    fn acquire(&self, take: &Take) -> Outcome<Arc<dyn FaceLease>> {
        let request = with_arguments!(self.0.acquire(&take.name), take, wait);
        Ok(Arc::new(BlockingLease(request.call()?)))
    }

    fn try_acquire(&self, take: &Take) -> Outcome<Option<Arc<dyn FaceLease>>> {
        let request = with_arguments!(self.0.try_acquire(&take.name), take);
        Ok(request
            .call()?
            .map(|lease| Arc::new(BlockingLease(lease)) as _))
    }

    fn acquire_all(&self, take: &TakeAll) -> Outcome<Arc<dyn FaceLease>> {
        let request = with_arguments!(self.0.acquire_all(&take.names), take, wait);
        Ok(Arc::new(BlockingGroup(request.call()?)))
    }

    fn try_acquire_all(&self, take: &TakeAll) -> Outcome<Option<Arc<dyn FaceLease>>> {
        let request = with_arguments!(self.0.try_acquire_all(&take.names), take);
        Ok(request
            .call()?
            .map(|group| Arc::new(BlockingGroup(group)) as _))
    }

    fn lead(&self, leading: &Leading) -> Outcome {
        let led = Led::default();
        let work = |lease: &blocking::Lease| {
            let work = led.begin(leading, lease.token());
            while matches!(work, Work::Stay) && lease.held() {
                lease.wait_lost(None)?;
            }
            led.end(work)
        };
        with_leading!(self.0.lead(&leading.name, work), leading).call()?
    }

    fn release(&self, name: &str, owner: &str) -> Outcome {
        Ok(self.0.release(name, owner)?.as_str().into())
    }

    fn force_release(&self, name: &str) -> Outcome {
        Ok(self.0.force_release(name)?.as_str().into())
    }

    fn extend(&self, name: &str, owner: &str, ttl: f64) -> Outcome {
        let status = self.0.extend(name, owner, millis("ttl", ttl)?)?;
        Ok(status.as_str().into())
    }

    fn inspect(&self, name: &str) -> Outcome {
        Ok(self.0.inspect(name)?.as_ref().map_or(Value::Null, info))
    }

    fn locks(&self, pattern: &str) -> Outcome {
        let found: leaselock::Result<Vec<_>> = self.0.locks(pattern)?.collect();
        Ok(listed(found?))
    }

    fn stats(&self) -> Value {
        counters(&self.0.stats())
    }

    fn close(&self) -> Outcome<()> {
        Ok(self.0.close()?)
    }
}

impl FaceLease for BlockingLease {
    fn look(&self) -> Value {
        look!(&self.0)
    }

    fn check(&self) -> Outcome<()> {
        Ok(self.0.check()?)
    }

    fn detach(&self) {
        self.0.detach();
    }

    fn extend(&self, ttl: Option<f64>) -> Outcome<()> {
        let ttl = ttl.map(|ttl| millis("ttl", ttl)).transpose()?;
        Ok(self.0.extend(ttl)?)
    }

    fn release(&self) -> Outcome<bool> {
        Ok(self.0.release()?)
    }

    fn wait_lost(&self, timeout: f64) -> Outcome<Option<String>> {
        let lost = self.0.wait_lost(Some(millis("timeout", timeout)?))?;
        Ok(lost
            .then(|| self.0.loss_reason())
            .flatten()
            .map(|r| r.as_str().to_owned()))
    }
}

impl FaceLease for BlockingGroup {
    fn look(&self) -> Value {
        look_at_all!(&self.0)
    }

    fn check(&self) -> Outcome<()> {
        Ok(self.0.check()?)
    }

    fn detach(&self) {
        unreachable!("a group is not detached");
    }

    fn extend(&self, ttl: Option<f64>) -> Outcome<()> {
        let ttl = ttl.map(|ttl| millis("ttl", ttl)).transpose()?;
        Ok(self.0.extend(ttl)?)
    }

    fn release(&self) -> Outcome<bool> {
        Ok(self.0.release()?)
    }

    fn wait_lost(&self, timeout: f64) -> Outcome<Option<String>> {
        let lost = self.0.wait_lost(Some(millis("timeout", timeout)?))?;
        Ok(lost
            .then(|| self.0.loss_reason())
            .flatten()
            .map(|r| r.as_str().to_owned()))
    }
}
