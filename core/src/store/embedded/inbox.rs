//! A client's inbox: the FIFO that other processes write its news to, and the task that reads it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::news;
use super::sqlite_failure::from_io;
use crate::error::Error;
use crate::fork::InChild;
use crate::store::{Event, Listener, Scope};

/// The longest line that is written into an inbox at once. A pipe with less room than this refuses what does not fit.
const LONGEST_LINE: usize = 4096;
/// What a pipe holds where the system does not say.
const PIPE: usize = 65_536;
/// The directory may be removed, by who finds it empty, just before the FIFO is made in it.
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
                reading: tokio::spawn(reader.run(listener)),
            }),
            Err(error) => {
                remove(&path);
                Err(cannot(error))
            }
        }
    }

    /// Whether the inbox is there and read; not so once its runtime has ended, or somebody has removed the FIFO.
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

/// The reading end of an inbox.
struct InboxReader {
    // Dropped before the descriptor is closed, and its number used again.
    _in_child: InChild,
    pipe: pipe::Receiver,
    room: usize,
}

impl InboxReader {
    fn open(path: &Path) -> io::Result<Self> {
        // For writing too: so it never ends, whoever comes and goes.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        let room = room(&file);
        let pipe = pipe::Receiver::from_file(file)?;
        Ok(Self {
            _in_child: InChild::new(&pipe),
            pipe,
            room,
        })
    }

    async fn run(self, listener: Listener) {
        let mut buffer = vec![0; self.room.max(LONGEST_LINE)];
        let mut unfinished = Vec::new();
        while self.pipe.readable().await.is_ok() {
            let read = match self.pipe.try_read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            unfinished.extend_from_slice(&buffer[..read]);
            while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
                if let Some(event) = news::read(&unfinished[..end]) {
                    listener(event);
                }
                unfinished.drain(..=end);
            }
            if read + LONGEST_LINE > self.room {
                // It was full, and something may not have fitted.
                listener(Event::Reset {
                    scope: Scope::all(),
                    is_new: false,
                });
            }
        }
    }
}

fn make(directory: &Path, path: &Path) -> io::Result<()> {
    let mut tries = TRIES;
    loop {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Err(Errno::EEXIST) => fs::remove_file(path)?,
            Err(Errno::ENOENT) if tries > 0 => tries -= 1,
            made => return Ok(made?),
        }
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = fs::remove_dir(directory);
    }
}

/// How many bytes fit into the pipe.
fn room(file: &File) -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(size) = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETPIPE_SZ) {
        return usize::try_from(size).unwrap_or(PIPE);
    }
    let _ = file;
    PIPE
}
