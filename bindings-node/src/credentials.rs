//! Functions of credentials: called in the thread of their JavaScript, through its mailbox, when the core needs a connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leaselock::Credentials;
use tokio::sync::oneshot;

use crate::mailbox::Mailbox;
use crate::outcome::Event;

type Answer = oneshot::Sender<Result<Credentials, Raised>>;

/// The calls of one JavaScript thread that have no answer yet.
#[derive(Default)]
pub(crate) struct Calls {
    pending: Mutex<HashMap<u32, Answer>>,
    last: AtomicU32,
}

impl Calls {
    fn pending(&self) -> MutexGuard<'_, HashMap<u32, Answer>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> (u32, oneshot::Receiver<Result<Credentials, Raised>>) {
        let (sender, answer) = oneshot::channel();
        let call = self.last.fetch_add(1, Ordering::Relaxed);
        let mut pending = self.pending();
        // What nobody waits for any more may never have an answer.
        pending.retain(|_, sender| !sender.is_closed());
        pending.insert(call, sender);
        (call, answer)
    }

    pub(crate) fn answer(&self, call: u32, answer: Result<Credentials, Raised>) {
        let sender = self.pending().remove(&call);
        if let Some(sender) = sender {
            let _ = sender.send(answer);
        }
    }

    /// The thread is ending: there will be no more answers.
    pub(crate) fn close(&self) {
        self.pending().clear();
    }
}

/// A function that JavaScript keeps under a number, until this is dropped.
pub(crate) struct Asked {
    pub(crate) function: u32,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) calls: Arc<Calls>,
}

impl Asked {
    pub(crate) async fn ask(self: Arc<Self>) -> Result<Credentials, Raised> {
        let (call, answer) = self.calls.begin();
        let function = self.function;
        if !self.mailbox.report(Event::Credentials { function, call }) {
            return Err(Raised(None));
        }
        answer.await.unwrap_or(Err(Raised(None)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let function = self.function;
        self.mailbox.report(Event::CredentialsOver { function });
    }
}

/// What a function threw: JavaScript keeps it under this number. There is none where the thread of the function has ended.
pub(crate) struct Raised(pub(crate) Option<u32>);

impl Raised {
    /// What a function of credentials threw that caused this error.
    pub(crate) fn of(error: &leaselock::Error) -> Option<u32> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref::<Self>()?.0
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "the function of credentials threw",
            None => "the thread of the function of credentials has ended",
        })
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Raised {}
