//! A listing of locks under way, read page by page.

use std::sync::Arc;

use leaselock::Locks;
use napi::Env;
use napi_derive::napi;
use tokio::sync::Mutex;

use crate::mailbox::Mailbox;
use crate::outcome::{Outcome, Page};

/// How many locks cross to JavaScript at a time.
const PAGE: usize = 128;

/// A listing under way.
#[napi]
pub struct NativeLocks {
    core: Arc<Mutex<Locks>>,
    mailbox: Arc<Mailbox>,
}

impl NativeLocks {
    pub(crate) fn new(core: Locks, mailbox: Arc<Mailbox>) -> Self {
        Self {
            core: Arc::new(Mutex::new(core)),
            mailbox,
        }
    }
}

#[napi]
impl NativeLocks {
    /// The next locks; `done` when these were the last.
    #[napi]
    pub fn next(&self, env: Env) -> u32 {
        let core = self.core.clone();
        self.mailbox.submit(&env, async move {
            let mut core = core.lock().await;
            let mut locks = Vec::new();
            while locks.len() < PAGE {
                match core.next().await {
                    Some(Ok(info)) => locks.push(info.into()),
                    Some(Err(error)) => return Outcome::Failed(error.into()),
                    None => return Outcome::Page(Page { locks, done: true }),
                }
            }
            Outcome::Page(Page { locks, done: false })
        })
    }
}
