//! Telling clients: those of this process directly, those of others through their inbox.
//!
//! A client that waits, or has renewed a lease, has an inbox `<store>-inbox/<client id>`, a FIFO, or on Windows a named pipe with a file
//! that tells of it; its process holds it open for reading. Opening it for writing fails at once when that process has ended, so whoever hands a lock over knows who is still alive.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::news;
use super::opening::beside;
use super::system::{Unreachable, open_inbox};
use super::url::Location;
use crate::store::{Event, Listener};
use crate::sync;

/// An inbox is made before it is opened for reading: a young one without a reader is not abandoned.
const YOUNG: Duration = Duration::from_secs(10);

/// How the clients of a store are told news.
pub(super) struct Post {
    /// The clients of this process.
    here: Mutex<HashMap<Arc<str>, Listener>>,
    /// The directory of the inboxes of other processes.
    directory: Option<PathBuf>,
}

/// A way to tell a client.
pub(super) enum Way {
    Here(Listener),
    Inbox(File),
    /// The client cannot be told now; its own timer has to do.
    None,
}

/// An event on its way to a client, to be sent when the transaction that it tells of is committed.
pub(super) struct News {
    pub(super) by: Way,
    pub(super) event: Event,
}

impl News {
    pub(super) fn send(self) {
        match self.by {
            Way::Here(listener) => listener(self.event),
            // A full inbox is one whose reader will ask by itself.
            Way::Inbox(mut inbox) => drop(inbox.write(&news::written(&self.event))),
            Way::None => {}
        }
    }
}

impl Post {
    pub(super) fn new(location: &Location) -> Self {
        Self {
            here: Mutex::default(),
            directory: match location {
                Location::File(path) => Some(beside(path, "-inbox")),
                Location::Memory(_) => None,
            },
        }
    }

    fn here(&self) -> MutexGuard<'_, HashMap<Arc<str>, Listener>> {
        sync::lock(&self.here)
    }

    /// The directory of the inboxes; `None` where there are none.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    pub(super) fn enter(&self, client_id: &Arc<str>, listener: Listener) {
        self.here().insert(client_id.clone(), listener);
    }

    pub(super) fn leave(&self, client_id: &Arc<str>) {
        self.here().remove(client_id);
    }

    /// Whether no client of this process is left.
    pub(super) fn is_empty(&self) -> bool {
        self.here().is_empty()
    }

    /// The listeners of all clients of this process, to be called when all have to ask again.
    pub(super) fn everybody(&self) -> Vec<Listener> {
        self.here().values().cloned().collect()
    }

    /// The ways to tell every client of every process, those that have an inbox.
    pub(super) fn everybody_anywhere(&self) -> Vec<Way> {
        let here = self.here();
        let mut ways: Vec<_> = here.values().cloned().map(Way::Here).collect();
        let Some(Ok(inboxes)) = self.directory.as_ref().map(fs::read_dir) else {
            return ways;
        };
        for inbox in inboxes.flatten() {
            let is_here = inbox
                .file_name()
                .to_str()
                .is_some_and(|id| here.contains_key(id));
            if !is_here && let Ok(opened) = open_inbox(&inbox.path()) {
                ways.push(Way::Inbox(opened));
            }
        }
        ways
    }

    /// The way to tell a client; `None` when the client is gone.
    pub(super) fn reach(&self, client_id: &str) -> Option<Way> {
        if let Some(listener) = self.here().get(client_id) {
            return Some(Way::Here(listener.clone()));
        }
        // What was written by another hand is no reason to open other files.
        if client_id.is_empty() || !client_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let inbox = self.directory.as_ref()?.join(client_id);
        match open_inbox(&inbox) {
            Ok(opened) => Some(Way::Inbox(opened)),
            Err(Unreachable::Abandoned) => {
                let _ = fs::remove_file(inbox);
                None
            }
            Err(Unreachable::Missing) => None,
            Err(Unreachable::Failed) => Some(Way::None),
        }
    }

    /// Removes the inboxes of processes that ended without doing so.
    pub(super) fn sweep(&self) {
        let Some(Ok(inboxes)) = self.directory.as_ref().map(fs::read_dir) else {
            return;
        };
        for inbox in inboxes.flatten() {
            let age = inbox.metadata().and_then(|found| found.modified());
            let is_young = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < YOUNG));
            if !is_young && matches!(open_inbox(&inbox.path()), Err(Unreachable::Abandoned)) {
                let _ = fs::remove_file(inbox.path());
            }
        }
    }
}
