//! A runtime driven by the callers that wait for it: a caller who blocks reads its own news, with no thread to wake in
//! between. While no caller waits, the runtime's own thread drives it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::sync;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

type LastJob = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A tokio runtime that one thread at a time drives.
pub struct Background {
    /// Taken out when the background is dropped.
    runtime: Option<Runtime>,
    turns: Mutex<Turns>,
    /// Tells the thread that a caller drives from now on, or that the end has come.
    step_aside: Notify,
    /// Tells the thread that no caller drives any more, or that the end has come.
    alone: Condvar,
}

#[derive(Default)]
struct Turns {
    /// How many callers wait, one of whom drives.
    callers: usize,
    stopped: bool,
    last_job: Option<LastJob>,
}

impl Background {
    /// Starts the runtime and its thread, which live until [`stop`](Self::stop).
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub fn start() -> io::Result<Arc<Self>> {
        let background = Arc::new(Self {
            runtime: Some(Builder::new_current_thread().enable_all().build()?),
            turns: Mutex::default(),
            step_aside: Notify::new(),
            alone: Condvar::new(),
        });
        let this = background.clone();
        thread::Builder::new()
            .name("leaselock".to_owned())
            .spawn(move || this.drive_while_alone())?;
        Ok(background)
    }

    /// The handle by which tasks are spawned on the runtime.
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }

    fn runtime(&self) -> &Runtime {
        let runtime = self.runtime.as_ref();
        runtime.expect("the runtime is there until it is dropped")
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        sync::lock(&self.turns)
    }

    /// Waits for `work`, driving the runtime unless another caller does, for `limit` at most.
    pub(super) fn drive<F: Future + ?Sized>(
        &self,
        limit: Option<Duration>,
        work: Pin<&mut F>,
    ) -> Option<F::Output> {
        let _driving = Driving::begin(self);
        self.runtime().block_on(async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, work).await.ok(),
                None => Some(work.await),
            }
        })
    }

    /// Ends the thread once `last_job` is done.
    pub(super) fn stop(&self, last_job: impl Future<Output = ()> + Send + 'static) {
        let mut turns = self.turns();
        turns.stopped = true;
        turns.last_job = Some(Box::pin(last_job));
        self.step_aside.notify_one();
        self.alone.notify_one();
    }

    fn drive_while_alone(&self) {
        loop {
            self.runtime().block_on(self.step_aside.notified());
            let mut turns = self.turns();
            while turns.callers > 0 && !turns.stopped {
                turns = sync::wait(&self.alone, turns);
            }
            if turns.stopped {
                let last_job = turns.last_job.take();
                drop(turns);
                if let Some(last_job) = last_job {
                    self.runtime().block_on(last_job);
                }
                return;
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Whoever drops it last may be within another runtime, where waiting for this one's end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A caller's turn at driving.
struct Driving<'a>(&'a Background);

impl<'a> Driving<'a> {
    fn begin(background: &'a Background) -> Self {
        let mut turns = background.turns();
        turns.callers += 1;
        let first = turns.callers == 1;
        drop(turns);
        if first {
            background.step_aside.notify_one();
        }
        Self(background)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let mut turns = self.0.turns();
        turns.callers -= 1;
        let last = turns.callers == 0;
        // Whoever is woken must not meet the lock.
        drop(turns);
        if last {
            self.0.alone.notify_one();
        }
    }
}
