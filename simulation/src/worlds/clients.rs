//! The processes: a real client each, and what its users do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use leaselock::simulation::Gate;
use leaselock::{Client, Error, ErrorKind};
use tokio::runtime::Handle;

use crate::worlds::plan::{Acquire, Act, Millis, Plan};
use crate::worlds::process::ProcessGate;
use crate::worlds::taken::Taken;
use crate::worlds::world::World;

/// A client in its process.
#[derive(Clone)]
pub(crate) struct Member {
    world: Arc<World>,
    process: usize,
    pub(crate) client: Client,
}

/// Code of a process: it stands still while the process does.
struct Behind<F> {
    gate: ProcessGate,
    code: Pin<Box<F>>,
}

impl<F: Future> Future for Behind<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.gate.pass(context) {
            return Poll::Pending;
        }
        let polled = self.code.as_mut().poll(context);
        self.gate.leave();
        polled
    }
}

impl Member {
    pub(crate) fn new(world: &Arc<World>, process: usize, plan: &Plan) -> Self {
        let gate = ProcessGate::new(world, process);
        let client = gate.run(|| {
            let mut builder = Client::builder()
                .url("redis://server:6379")
                .app_id("app")
                .command_timeout(Duration::from_millis(plan.command_timeout))
                .runtime(Handle::current());
            if plan.dedicated {
                builder = builder.dedicated_runtime();
            }
            builder.build().expect("a client")
        });
        Self {
            world: world.clone(),
            process,
            client,
        }
    }

    /// Runs code in the process.
    pub(crate) fn spawn(&self, code: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(Behind {
            gate: ProcessGate::new(&self.world, self.process),
            code: Box::pin(code),
        });
    }

    /// Begins an acquire at its time, and does with the lease what is to be done.
    pub(crate) fn begin(&self, op: usize, at: Millis, acquire: Acquire) {
        let member = self.clone();
        self.spawn(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            member.acquire(op, acquire).await;
        });
    }

    fn note(&self, kind: u8, text: impl FnOnce() -> String) {
        self.world.with(|state| {
            let now = state.now();
            state.record.note(now, kind, &[], text);
        });
    }

    async fn acquire(self, op: usize, plan: Acquire) {
        let now = self.world.with(|state| state.now());
        self.change(op, |it| it.began = Some(now));
        self.note(10, || format!("op{op} begins"));
        let asking = Cancelled {
            future: Some(self.ask(op, &plan)),
            after: plan.cancelled,
        };
        let acquired = asking.await;
        let lease = match acquired {
            Some(Ok(Some(lease))) => Some(lease),
            Some(Ok(None)) => {
                self.note(11, || format!("op{op} found it held"));
                self.world.with(|state| state.look_at_none_of(op));
                None
            }
            Some(Err(error)) => {
                self.note(12, || format!("op{op} failed: {error}"));
                if error.kind() == ErrorKind::LockTimeout {
                    self.world.with(|state| state.look_at_none_of(op));
                }
                None
            }
            None => {
                self.note(13, || format!("op{op} was cancelled"));
                None
            }
        };
        if let Some(lease) = lease {
            let lease = Arc::new(lease);
            let world = self.world.clone();
            lease.on_lost(Box::new(move |reason| {
                world.with(|state| {
                    let now = state.now();
                    state.checker.change(op, |it| it.told = true);
                    state
                        .record
                        .note(now, 14, &[], || format!("op{op} lost its lease: {reason}"));
                });
            }));
            self.world.with(|state| state.on_lease(op, &lease));
            for act in &plan.then {
                self.act(op, &lease, *act).await;
            }
            self.change(op, |it| it.given_back |= !it.is_detached);
            self.note(15, || format!("op{op} drops its lease"));
            drop(lease);
        }
        let now = self.world.with(|state| state.now());
        self.change(op, |it| it.over = Some(now));
    }

    fn change(&self, op: usize, change: impl FnMut(&mut crate::worlds::checker::Op)) {
        self.world.with(|state| state.checker.change(op, change));
    }

    fn ask(&self, op: usize, plan: &Acquire) -> Asking {
        let ms = Duration::from_millis;
        let label = format!("op{op}");
        macro_rules! asked {
            ($asked:expr) => {{
                let mut asked = $asked.ttl(ms(plan.ttl)).renew(plan.renew).label(label);
                if let Some(max_hold) = plan.max_hold {
                    asked = asked.max_hold(ms(max_hold));
                }
                if let Some(min_hold) = plan.min_hold {
                    asked = asked.min_hold(ms(min_hold));
                }
                match plan.limit {
                    0 => asked = asked.shared(),
                    1 => {}
                    permits => asked = asked.permits(permits),
                }
                asked
            }};
        }
        macro_rules! waiting {
            ($asked:expr) => {{
                let mut asked = asked!($asked);
                if let Some(wait) = plan.wait {
                    asked = asked.wait(ms(wait));
                }
                asked
            }};
        }
        if let [name] = plan.names[..] {
            let name = name.to_string();
            if plan.wait == Some(0) {
                let asked = asked!(self.client.try_acquire(name));
                return Box::pin(async move { Ok(asked.await?.map(Taken::One)) });
            }
            let asked = waiting!(self.client.acquire(name));
            return Box::pin(async move { Ok(Some(Taken::One(asked.await?))) });
        }
        let names = plan.names.iter().map(ToString::to_string);
        if plan.wait == Some(0) {
            let asked = asked!(self.client.try_acquire_all(names));
            return Box::pin(async move { Ok(asked.await?.map(Taken::All)) });
        }
        let asked = waiting!(self.client.acquire_all(names));
        Box::pin(async move { Ok(Some(Taken::All(asked.await?))) })
    }

    async fn act(&self, op: usize, lease: &Arc<Taken>, act: Act) {
        let ms = Duration::from_millis;
        match act {
            Act::Hold(time) => tokio::time::sleep(ms(time)).await,
            Act::Extend(ttl) => {
                self.shortens(op, lease, 0);
                self.note(16, || format!("op{op} extends its lease to {ttl} ms"));
                let extended = lease.extend(Some(ms(ttl))).await;
                let state = if extended.is_ok() { 17 } else { 18 };
                self.note(state, || format!("op{op} has extended it: {extended:?}"));
            }
            Act::ExtendAndCancel(ttl, after) => {
                // Carried out, it lasts until the next renewal, which has the TTL from before.
                self.shortens(op, lease, ttl);
                self.note(19, || {
                    format!("op{op} extends its lease to {ttl} ms, and gives that up")
                });
                let _ = tokio::time::timeout(ms(after), lease.extend(Some(ms(ttl)))).await;
            }
            Act::Release => {
                self.change(op, |it| it.given_back = true);
                self.note(20, || format!("op{op} releases"));
                let released = lease.release().await;
                let failed = released.is_err();
                self.note(21 + u8::from(failed), || {
                    format!("op{op} has released: {released:?}")
                });
                self.change(op, |it| it.is_left_behind |= failed);
            }
            Act::ReleaseAndCancel(after) => {
                self.change(op, |it| it.given_back = true);
                self.note(23, || format!("op{op} releases, and gives that up"));
                let _ = tokio::time::timeout(ms(after), lease.release()).await;
            }
            Act::ReleaseByOwner => {
                self.world.with(|state| state.depose(&[op]));
                let (name, owner) = lease.first();
                self.note(24, || format!("op{op} releases by its owner"));
                let _ = self.client.release(name, owner).await;
            }
            Act::Detach => {
                self.note(25, || format!("op{op} is left to its TTL"));
                self.change(op, |it| it.is_detached = true);
                lease.detach();
            }
        }
    }

    /// A lease that has so many ms for a while, or what it has now, gets perhaps less: nobody tells those who wait, who look when they
    /// were told that it ends.
    fn shortens(&self, op: usize, lease: &Taken, for_a_while: Millis) {
        let ttl = lease.ttl().max(lease.expires_in());
        let ttl = ttl.max(Duration::from_millis(for_a_while));
        self.world.with(|state| {
            let until = state.now() + u64::try_from(ttl.as_micros()).unwrap_or(0);
            for &name in &state.checker.ops[op].acquire.names {
                let told = &mut state.checker.truth[name].told_until;
                *told = until.max(*told);
            }
        });
    }

    /// Releases a name by force.
    pub(crate) fn force(&self, name: usize) {
        let member = self.clone();
        self.spawn(async move {
            member.world.with(|state| {
                state.checker.truth[name].forces += 1;
                state.depose_holders(name);
            });
            let released = member.client.force_release(&name.to_string()).await;
            member.note(26, || {
                format!("name {name} was released by force: {released:?}")
            });
            member
                .world
                .with(|state| state.checker.truth[name].forces -= 1);
        });
    }

    /// Closes the client.
    pub(crate) fn close(&self) {
        let member = self.clone();
        self.spawn(async move {
            let closed = member.client.close().await;
            member.note(27, || {
                format!("client {} has closed: {closed:?}", member.process)
            });
            member.world.with(|state| state.closed += 1);
        });
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Option<Taken>, Error>> + Send>>;

/// A future that is dropped when it was polled so often.
struct Cancelled {
    future: Option<Asking>,
    after: Option<u32>,
}

impl Future for Cancelled {
    type Output = Option<Result<Option<Taken>, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if let Some(after) = &mut this.after {
            *after -= 1;
            if *after == 0 {
                this.future = None;
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    }
}
