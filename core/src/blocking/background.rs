//! A runtime driven by the callers that wait for it: a caller who blocks reads its own news, with no thread to wake in
//! between. While no caller waits, the runtime's own thread drives it.

mod turns;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use self::turns::Turns;

type LastJob = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A tokio runtime that one thread at a time drives.
pub struct Background {
    /// Taken out when the background is dropped.
    runtime: Option<Runtime>,
    turns: Turns<LastJob>,
}

impl Background {
    /// Starts the runtime and its thread, which live until [`stop`](Self::stop).
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub fn start() -> io::Result<Arc<Self>> {
        let background = Arc::new(Self {
            runtime: Some(Builder::new_current_thread().enable_all().build()?),
            turns: Turns::new(),
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
        self.turns.stop(Box::pin(last_job));
    }

    fn drive_while_alone(&self) {
        loop {
            self.runtime().block_on(self.turns.step_aside.notified());
            if let Some(last_job) = self.turns.wait() {
                return self.runtime().block_on(last_job);
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
        background.turns.begin();
        Self(background)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        self.0.turns.end();
    }
}

/// What turns are made of: `model/` has others, to go through all that threads can do.
mod primitives {
    pub(super) use std::sync::{Condvar, Mutex};

    pub(super) use tokio::sync::Notify;

    pub(super) use crate::sync::{lock, wait};
}
