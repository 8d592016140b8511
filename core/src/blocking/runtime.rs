//! Where a blocking client's background work runs, and how its callers wait for it.

use std::future::Future;
use std::pin::pin;
use std::process;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::background::Background;
use crate::error::{Error, ErrorKind, Result};
use crate::sync;

/// How often a blocked caller asks its interrupt hook.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// Says whether a blocked call is to end; asked at least every 50 ms. `None`: this thread's calls are never interrupted.
pub(crate) type Interrupt = Arc<dyn Fn() -> Option<bool> + Send + Sync>;

/// Where a blocking client's background work runs.
pub(crate) enum Place {
    /// A runtime of the caller's, which somebody else drives.
    Foreign(Handle),
    /// A runtime that waiting callers drive themselves.
    Shared(Arc<Background>),
}

impl Place {
    pub(crate) fn handle(&self) -> &Handle {
        match self {
            Self::Foreign(handle) => handle,
            Self::Shared(background) => background.handle(),
        }
    }
}

/// The runtime of a blocking client: a given one, or one of the client's own, started when it is first needed.
pub(super) struct Runtime {
    place: OnceLock<Place>,
    /// The client's own runtime, to be stopped with the client.
    own: Mutex<Option<Arc<Background>>>,
    interrupt: Option<Interrupt>,
    /// The process it works in. Whoever gives a runtime to share makes new clients after a fork.
    process: Option<u32>,
}

impl Runtime {
    pub(super) fn new(place: Option<Place>, interrupt: Option<Interrupt>) -> Self {
        let is_shared = matches!(place, Some(Place::Shared(_)));
        Self {
            process: (!is_shared).then(process::id),
            place: place.map_or_else(OnceLock::new, OnceLock::from),
            own: Mutex::default(),
            interrupt,
        }
    }

    /// Refuses to work in a forked child: what drives the runtime stayed with the parent, and so did the connections.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.process.is_some_and(|made_in| made_in != process::id()) {
            return Err(Error::inherited());
        }
        Ok(())
    }

    /// The runtime, started now if it has to be.
    fn place(&self) -> Result<&Place> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let mut own = sync::lock(&self.own);
        if own.is_none() {
            let background = Background::start().map_err(|error| {
                Error::unavailable(format!("no background thread could be started: {error}"))
                    .with_source(error)
            })?;
            *own = Some(background.clone());
            let _ = self.place.set(Place::Shared(background));
        }
        self.place.get().ok_or_else(ended)
    }

    pub(super) fn handle(&self) -> Result<&Handle> {
        self.place().map(Place::handle)
    }

    /// Ends an own runtime once `last_job` is done.
    pub(super) fn stop(&self, last_job: impl Future<Output = ()> + Send + 'static) {
        let mut own = sync::lock(&self.own);
        if let Some(background) = own.take() {
            background.stop(last_job);
        }
    }

    /// Whether the interrupt hook says that the calling thread is to stop waiting.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupt
            .as_ref()
            .is_some_and(|interrupt| interrupt() == Some(true))
    }

    /// Runs `work` on the runtime and waits for it; an interrupt drops it.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.check_process()?;
        match self.place()? {
            // A thread cannot drive two runtimes at once.
            Place::Shared(background) if Handle::try_current().is_err() => {
                let mut work = pin!(work);
                self.until_interrupted(|limit| background.drive(limit, work.as_mut()))?
            }
            place => {
                let (sender, receiver) = sync_channel(1);
                let task = place.handle().spawn(async move {
                    let _ = sender.send(work.await);
                });
                let outcome = self.until_interrupted(|limit| match limit {
                    None => Some(receiver.recv().map_err(|_| ended())),
                    Some(limit) => match receiver.recv_timeout(limit) {
                        Ok(result) => Some(Ok(result)),
                        Err(RecvTimeoutError::Disconnected) => Some(Err(ended())),
                        Err(RecvTimeoutError::Timeout) => None,
                    },
                });
                outcome.inspect_err(|_| task.abort())??
            }
        }
    }

    /// Waits for `work`, which goes on where an interrupt ends the wait.
    ///
    /// # Errors
    /// Only that it was interrupted.
    pub(super) fn wait_through(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let (sender, receiver) = sync_channel(1);
        let Ok(handle) = self.handle() else {
            return Ok(());
        };
        handle.spawn(async move {
            work.await;
            let _ = sender.send(());
        });
        self.until_interrupted(|limit| match limit {
            None => {
                let _ = receiver.recv();
                Some(())
            }
            Some(limit) => match receiver.recv_timeout(limit) {
                Err(RecvTimeoutError::Timeout) => None,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => Some(()),
            },
        })
    }

    /// What `wait` comes to, asked again after each limit it is given unless the caller is to stop.
    fn until_interrupted<T>(
        &self,
        mut wait: impl FnMut(Option<Duration>) -> Option<T>,
    ) -> Result<T> {
        let mut interrupt = self.interrupt.as_ref();
        loop {
            if let Some(result) = wait(interrupt.map(|_| INTERRUPT_CHECK)) {
                return Ok(result);
            }
            match interrupt.map(|interrupt| interrupt()) {
                Some(Some(true)) => return Err(Error::new(ErrorKind::Interrupted, "interrupted")),
                Some(Some(false)) => {}
                _ => interrupt = None,
            }
        }
    }
}

fn ended() -> Error {
    Error::unavailable("the background thread has ended")
}
