//! Where a blocking client's background work runs, and how its callers wait for it.

use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::builder::Interrupt;
use crate::error::{Error, ErrorKind, Result};

/// How often a blocked caller asks its interrupt hook.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// A handle to a runtime: one given by the caller, or one of our own on a thread of its own.
pub(super) struct Runtime {
    handle: OnceLock<Handle>,
    stop: RwLock<Option<oneshot::Sender<Job>>>,
    interrupt: Option<Interrupt>,
}

type Job = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Runtime {
    pub(super) fn new(handle: Option<Handle>, interrupt: Option<Interrupt>) -> Self {
        Self {
            handle: handle.map_or_else(OnceLock::new, OnceLock::from),
            stop: RwLock::new(None),
            interrupt,
        }
    }

    /// The runtime, started now if it has to be.
    pub(super) fn handle(&self) -> Result<&Handle> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let mut stop = self.stop.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let failed = |error: std::io::Error| {
            Error::unavailable(format!("no background thread could be started: {error}"))
                .with_source(error)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (sender, stopped) = oneshot::channel::<Job>();
        thread::Builder::new()
            .name("leaselock".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    if let Ok(last_job) = stopped.await {
                        last_job.await;
                    }
                });
            })
            .map_err(failed)?;
        *stop = Some(sender);
        Ok(self.handle.get_or_init(|| handle))
    }

    /// Ends an own runtime once `last_job` is done.
    pub(super) fn stop(&self, last_job: impl Future<Output = ()> + Send + 'static) {
        let stop = self
            .stop
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(stop) = stop {
            let _ = stop.send(Box::pin(last_job));
        }
    }

    /// Whether the caller is to stop.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|interrupt| interrupt())
    }

    /// Runs `work` on the runtime and waits for it; an interrupt drops it.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = sync_channel(1);
        let task = self.handle()?.spawn(async move {
            let _ = sender.send(work.await);
        });
        let ended = || Error::unavailable("the background thread has ended");
        if self.interrupt.is_none() {
            return receiver.recv().map_err(|_| ended())?;
        }
        loop {
            match receiver.recv_timeout(INTERRUPT_CHECK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    if self.interrupted() {
                        task.abort();
                        return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
                    }
                }
            }
        }
    }
}
