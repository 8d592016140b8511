//! A client's inbox: what other processes write its news to, and the task that reads it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use super::news;
use super::sqlite_failure::from_io;
use super::system::{InboxReader, make_directory, make_inbox};
use crate::error::Error;
use crate::store::{Event, Listener, Scope};

/// The directory may be removed, by who finds it empty, just before the inbox is made in it.
const TRIES: u32 = 10;

/// An open inbox; dropped, it is removed.
pub(super) struct Inbox {
    path: PathBuf,
    reading: JoinHandle<()>,
}

impl Inbox {
    /// Makes the inbox of `client_id` and reads it on the current runtime.
    pub(super) fn open(
        directory: &Path,
        client_id: &str,
        listener: Listener,
    ) -> Result<Self, Error> {
        let what = "waiting needs an inbox, which cannot be made in";
        let cannot = |error: io::Error| from_io(what, directory, &error);
        let path = directory.join(client_id);
        make(directory, &path).map_err(cannot)?;
        match InboxReader::open(&path) {
            Ok(reader) => Ok(Self {
                path,
                reading: tokio::spawn(listen(reader, listener)),
            }),
            Err(error) => {
                remove(&path);
                Err(cannot(error))
            }
        }
    }

    /// Whether the inbox is there and read; not so once its runtime has ended, or somebody has removed it.
    pub(super) fn is_open(&self) -> bool {
        !self.reading.is_finished() && self.path.symlink_metadata().is_ok()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        remove(&self.path);
        self.reading.abort();
    }
}

/// Has the listener told what comes, as long as the runtime lives.
async fn listen(mut reader: InboxReader, listener: Listener) {
    let mut unfinished = Vec::new();
    while let Ok(was_full) = reader.read(&mut unfinished).await {
        while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
            if let Some(event) = news::read(&unfinished[..end]) {
                listener(event);
            }
            unfinished.drain(..=end);
        }
        if was_full {
            listener(Event::Reset {
                scope: Scope::all(),
                is_new: false,
            });
        }
    }
}

fn make(directory: &Path, path: &Path) -> io::Result<()> {
    let mut tries = TRIES;
    loop {
        match make_directory(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match make_inbox(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries > 0 => tries -= 1,
            made => return made,
        }
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = fs::remove_dir(directory);
    }
}
