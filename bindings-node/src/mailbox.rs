//! Submitting operations to the runtime's thread and bringing back how they ended: all that knows about both threads.
//!
//! What is ready is queued, and one wake of the event loop delivers all of it, however much that is. The loop is kept
//! alive while an operation is under way, and not otherwise.

use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leaselock::LockEvent;
use napi::bindgen_prelude::{FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::at_exit;
use crate::failure::Failure;
use crate::observe;
use crate::outcome::{Completions, Event, Outcome, Value};

/// What one wake of the event loop delivers.
pub(crate) type Delivery = FnArgs<(Vec<u32>, Vec<Option<Value>>, Vec<Event>)>;
/// The face's function that takes a delivery.
pub(crate) type Deliver<'env> = Function<'env, Delivery, ()>;
/// A function to call from any thread, which does not keep the event loop alive by itself.
type Wake = ThreadsafeFunction<(), (), Delivery, Status, false, true>;

/// What is observed is told this much later, together with what comes meanwhile: a wake for each would cost more than the rest.
const GATHER: Duration = Duration::from_millis(50);
/// So many contexts of which there is no more to tell are kept until the next event.
const GONE: usize = 1_000;
/// More than this is not kept while the thread is busy with something else.
const MOST_OBSERVED: usize = 100_000;

/// One per JavaScript thread.
pub(crate) struct Mailbox {
    runtime: Handle,
    ready: Mutex<Ready>,
    /// Whether a wake of the event loop is on its way already.
    waking: AtomicBool,
    /// Touched by the JavaScript thread alone, but for the wake itself.
    wake: Mutex<Option<Wake>>,
    /// What somebody waits for. Touched by the JavaScript thread alone.
    pending: Mutex<HashMap<u32, Option<JoinHandle<()>>>>,
    next: AtomicU32,
    /// Whether anybody observes.
    observing: AtomicBool,
    /// Contexts of which there is no more to tell.
    gone: Mutex<Vec<u32>>,
}

#[derive(Default)]
struct Ready {
    ended: Vec<(u32, Outcome)>,
    events: Vec<Event>,
    observed: Vec<LockEvent>,
    /// They will be told in a moment.
    gathering: bool,
    /// They are to be told with what is delivered next: a message for each delivery would cost more than the rest.
    tell: bool,
    /// So many were not kept.
    missed: u32,
    closed: bool,
}

impl Mailbox {
    /// A mailbox that wakes this event loop to call `deliver`.
    pub(crate) fn new(runtime: Handle, deliver: &Deliver<'_>) -> napi::Result<Arc<Self>> {
        let mailbox = Arc::new(Self {
            runtime,
            ready: Mutex::default(),
            waking: AtomicBool::new(false),
            wake: Mutex::new(None),
            pending: Mutex::default(),
            next: AtomicU32::new(0),
            observing: AtomicBool::new(false),
            gone: Mutex::default(),
        });
        let weak = Arc::downgrade(&mailbox);
        let wake = deliver
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .build_callback(move |call| {
                let (Completions { ops, values }, events) = weak
                    .upgrade()
                    .map(|mailbox| mailbox.collect(&call.env))
                    .unwrap_or_default();
                Ok((ops, values, events).into())
            })?;
        *lock(&mailbox.wake) = Some(wake);
        Ok(mailbox)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs `work` on the runtime's thread; its outcome is delivered under the number that is returned.
    pub(crate) fn submit<F>(self: &Arc<Self>, env: &Env, work: F) -> u32
    where
        F: Future<Output: Into<Outcome>> + Send + 'static,
    {
        let op = self.number();
        self.submit_as(env, op, work);
        op
    }

    /// A number for an operation.
    pub(crate) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The same for an operation that has its number already.
    pub(crate) fn submit_as<F>(self: &Arc<Self>, env: &Env, op: u32, work: F)
    where
        F: Future<Output: Into<Outcome>> + Send + 'static,
    {
        let ticket = Ticket {
            op,
            mailbox: self.clone(),
            used: false,
        };
        let mut work = Box::pin(async move { ticket.hand_in(work.await.into()) });
        // The first step is taken here, so that what the call changes at once has changed when it returns. A panic
        // drops the work, and with it the ticket, which tells.
        let step = catch_unwind(AssertUnwindSafe(|| {
            let _guard = self.runtime.enter();
            work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        }));
        let task = match step {
            Ok(Poll::Pending) => Some(self.runtime.spawn(work)),
            Ok(Poll::Ready(())) | Err(_) => None,
        };
        // What has ended meanwhile is collected by this thread, later.
        let mut pending = lock(&self.pending);
        pending.insert(op, task);
        if pending.len() == 1 {
            self.keep_alive(env, true);
        }
    }

    /// Stops an operation; nothing more is delivered for it. When the future completes, giving back what it had taken has
    /// begun.
    pub(crate) fn cancel(
        self: &Arc<Self>,
        env: &Env,
        op: u32,
    ) -> impl Future<Output = ()> + Send + use<> {
        let task = {
            let mut pending = lock(&self.pending);
            let stopped = pending.remove(&op);
            if stopped.is_some() && pending.is_empty() {
                self.keep_alive(env, false);
            }
            stopped.flatten()
        };
        if let Some(task) = &task {
            task.abort();
        }
        let mailbox = self.clone();
        async move {
            // It may be at work in this moment, and come to its end before it notices.
            if let Some(task) = task {
                let _ = task.await;
            }
            mailbox.forget(op);
        }
    }

    /// Drops how an operation ended that nobody wants to hear of; a lease is given back by that.
    fn forget(&self, op: u32) {
        let unwanted = {
            let ended = &mut lock(&self.ready).ended;
            let at = ended.iter().position(|(ended, _)| *ended == op);
            at.map(|at| ended.swap_remove(at))
        };
        drop(unwanted);
    }

    /// Queues an event; from any thread. Whether anybody is there to hear of it.
    pub(crate) fn report(&self, event: Event) -> bool {
        self.put(|ready| ready.events.push(event))
    }

    /// Says whether anybody observes.
    pub(crate) fn observing(&self, yes: bool) {
        self.observing.store(yes, Ordering::Relaxed);
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observing.load(Ordering::Relaxed)
    }

    /// Keeps what the observers are to be told; from any thread.
    pub(crate) fn observed(self: &Arc<Self>, event: LockEvent) {
        let mut ready = lock(&self.ready);
        if ready.closed || at_exit::is_ending() {
            return;
        }
        if ready.observed.len() >= MOST_OBSERVED {
            ready.missed += 1;
            return;
        }
        ready.observed.push(event);
        if !mem::replace(&mut ready.gathering, true) {
            drop(ready);
            let mailbox = self.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep(GATHER).await;
                let any = {
                    let mut ready = lock(&mailbox.ready);
                    ready.gathering = false;
                    ready.tell = !ready.observed.is_empty();
                    ready.tell
                };
                if any {
                    mailbox.wake();
                }
            });
        }
    }

    /// Has the observers told with what is delivered next.
    pub(crate) fn tell_observed(&self) {
        lock(&self.ready).tell = true;
    }

    /// There is no more to tell of a context.
    pub(crate) fn context_gone(&self, number: u32) {
        let many = {
            let mut gone = lock(&self.gone);
            gone.push(number);
            gone.len() == GONE
        };
        // They are told with the next event, or else when there are many.
        if many && !lock(&self.ready).closed {
            self.wake();
        }
    }

    /// The JavaScript thread is ending: stops everything, drops what nobody will see.
    pub(crate) fn close(&self) {
        for task in lock(&self.pending).drain().filter_map(|(_, task)| task) {
            task.abort();
        }
        let undelivered = {
            let mut ready = lock(&self.ready);
            ready.closed = true;
            (mem::take(&mut ready.ended), mem::take(&mut ready.observed))
        };
        drop(undelivered);
        lock(&self.wake).take();
    }

    fn put(&self, add: impl FnOnce(&mut Ready)) -> bool {
        {
            let mut ready = lock(&self.ready);
            if ready.closed || at_exit::is_ending() {
                return false;
            }
            add(&mut ready);
        }
        self.wake();
        true
    }

    fn wake(&self) {
        if !self.waking.swap(true, Ordering::AcqRel)
            && let Some(wake) = &*lock(&self.wake)
        {
            // Refused only while the environment is being torn down, when nobody listens any more.
            let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Takes all that is ready; in the JavaScript thread.
    fn collect(&self, env: &Env) -> (Completions, Vec<Event>) {
        // First the flag, then the queue: what comes in between causes one wake too many, never one too few.
        self.waking.store(false, Ordering::Release);
        let (ended, mut events, observed, missed) = {
            let mut ready = lock(&self.ready);
            (
                mem::take(&mut ready.ended),
                mem::take(&mut ready.events),
                if mem::take(&mut ready.tell) {
                    mem::take(&mut ready.observed)
                } else {
                    Vec::new()
                },
                mem::take(&mut ready.missed),
            )
        };
        if !observed.is_empty() || lock(&self.gone).len() >= GONE {
            events.push(Event::Observed {
                events: observe::json(&observed),
                gone: mem::take(&mut *lock(&self.gone)),
            });
        }
        if missed > 0 {
            events.push(Event::observers_behind(missed));
        }
        let mut completions = Completions::default();
        let mut pending = lock(&self.pending);
        for (op, outcome) in ended {
            // Of a cancelled operation nobody wants to hear; a lease it had taken is given back by being dropped here.
            if pending.remove(&op).is_some() {
                completions.add(op, outcome);
            }
        }
        if !completions.is_empty() && pending.is_empty() {
            self.keep_alive(env, false);
        }
        (completions, events)
    }

    fn keep_alive(&self, env: &Env, yes: bool) {
        if let Some(wake) = &mut *lock(&self.wake) {
            // Fails only while the environment is being torn down.
            #[expect(
                deprecated,
                reason = "holding clones cannot express that the same function comes and goes"
            )]
            let _ = if yes {
                wake.refer(env)
            } else {
                wake.unref(env)
            };
        }
    }
}

/// The duty to say how an operation ended, discharged even where it panics.
struct Ticket {
    op: u32,
    mailbox: Arc<Mailbox>,
    used: bool,
}

impl Ticket {
    fn hand_in(mut self, outcome: Outcome) {
        self.used = true;
        let op = self.op;
        self.mailbox.put(|ready| ready.ended.push((op, outcome)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.used {
            let ended = (self.op, Outcome::Failed(Failure::unanswered()));
            self.mailbox.put(|ready| ready.ended.push(ended));
        }
    }
}

/// A panic elsewhere leaves these plain collections as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
