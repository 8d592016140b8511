//! Windows: an inbox is a named pipe, with a file of the same name that tells of it; a file is kept apart by the rights of its
//! folder, and an open one can be neither removed nor replaced.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf, Prefix};
use std::time::Duration;
use std::{io, thread};

use tokio::io::AsyncReadExt;
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use winsafe::co::DRIVE;
use winsafe::{GetDiskFreeSpaceEx, GetDriveType};

use super::super::opening::beside;
use super::Unreachable;
use crate::diagnosis::FileSystem;

/// The ends of an inbox's pipe: as many can write at the same time, others wait for an instant.
const ENDS: usize = 8;
/// More than the longest line, so that whoever writes one never waits for the reader.
const ROOM: u32 = 16_384;
/// How long one who writes may hold an end: a line is written at once.
const LONGEST_WRITE: Duration = Duration::from_secs(1);
/// How often, and how long apart, an end is tried for while all are taken.
const TRIES: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Lines that were read and not yet told; those who write wait in the pipe meanwhile.
const UNTOLD: usize = 256;

const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_SHARING_VIOLATION: i32 = 32;
const ERROR_PIPE_BUSY: i32 = 231;
const ERROR_NO_DATA: i32 = 232;
/// Whoever has taken the name of a pipe learns nothing of who opens it.
const SECURITY_ANONYMOUS: u32 = 0;
const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;

/// SQLite keeps its file open in a way that lets nobody remove or rename it: a file that is there is the one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Identity;

pub(in super::super) fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|_| Identity)
}

/// Nothing names files by numbers.
pub(in super::super) fn inode(_: &Metadata) -> Option<u64> {
    None
}

/// Rights are kept in access control lists.
pub(in super::super) fn mode(_: &Metadata) -> Option<u32> {
    None
}

/// A new file has the rights of its folder.
pub(in super::super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// The right to make a store's file: a file beside it that one process can have open at a time, and that goes when it is closed.
pub(in super::super) struct Alone {
    _file: File,
}

impl Alone {
    /// `WouldBlock`: somebody else has it just now.
    pub(in super::super) fn beside(path: &Path) -> io::Result<Self> {
        let file = beside(path, "-new");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(0)
            .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
            .open(&file);
        match opened {
            Ok(file) => Ok(Self { _file: file }),
            Err(error) => Err(match error.raw_os_error() {
                Some(ERROR_SHARING_VIOLATION) => io::ErrorKind::WouldBlock.into(),
                // Closed a moment ago, and not quite gone.
                Some(ERROR_ACCESS_DENIED) if fs::exists(&file).unwrap_or(true) => {
                    io::ErrorKind::WouldBlock.into()
                }
                _ => error,
            }),
        }
    }
}

/// Makes the directory of the inboxes.
pub(in super::super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Makes an inbox that nobody reads yet.
pub(in super::super) fn make_inbox(path: &Path) -> io::Result<()> {
    File::create_new(path).map(drop)
}

/// The pipe of an inbox: a client's id is like no other's on the machine.
fn pipe(inbox: &Path) -> PathBuf {
    let id = inbox.file_name().unwrap_or_default().display();
    format!(r"\\.\pipe\leaselock-{id}").into()
}

/// Opens an inbox for one message; waits for an instant at most.
pub(in super::super) fn open_inbox(path: &Path) -> Result<File, Unreachable> {
    let pipe = pipe(path);
    for _ in 0..TRIES {
        let opened = OpenOptions::new()
            .write(true)
            .security_qos_flags(SECURITY_ANONYMOUS)
            .open(&pipe);
        let error = match opened {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(ERROR_PIPE_BUSY) => thread::sleep(LOOK_AGAIN),
            _ if error.kind() == io::ErrorKind::NotFound => {
                return Err(match fs::exists(path) {
                    Ok(true) => Unreachable::Abandoned,
                    _ => Unreachable::Missing,
                });
            }
            _ => break,
        }
    }
    Err(Unreachable::Failed)
}

/// The reading end of an inbox.
pub(in super::super) struct InboxReader {
    lines: Receiver<Vec<u8>>,
    _ends: JoinSet<()>,
}

impl InboxReader {
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        let pipe = pipe(path);
        let (sender, lines) = channel(UNTOLD);
        let mut ends = JoinSet::new();
        for number in 0..ENDS {
            // Others may write, not read; and nobody from another machine.
            let end = ServerOptions::new()
                .access_outbound(false)
                .first_pipe_instance(number == 0)
                .max_instances(ENDS)
                .in_buffer_size(ROOM)
                .reject_remote_clients(true)
                .create(&pipe)?;
            ends.spawn(serve(end, sender.clone()));
        }
        Ok(Self { lines, _ends: ends })
    }

    /// Waits for what is written and appends it to `unfinished`. An inbox is never full: who writes waits.
    pub(in super::super) async fn read(&mut self, unfinished: &mut Vec<u8>) -> io::Result<bool> {
        match self.lines.recv().await {
            Some(lines) => unfinished.extend_from_slice(&lines),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(false)
    }
}

/// Passes on what one after the other writes into one end of the pipe.
async fn serve(mut end: NamedPipeServer, lines: Sender<Vec<u8>>) {
    loop {
        match end.connect().await {
            Err(error) if error.raw_os_error() != Some(ERROR_NO_DATA) => return,
            // One who has written and gone already has left what was written.
            _ => {}
        }
        let mut written = Vec::new();
        // Whatever came before the writer went is whole: a line is written at once.
        let _ = tokio::time::timeout(LONGEST_WRITE, end.read_to_end(&mut written)).await;
        let _ = end.disconnect();
        if written.ends_with(b"\n") && lines.send(written).await.is_err() {
            return;
        }
    }
}

/// The path that the decoded bytes of a `file://` URL stand for: `/C:/locks.db` is `C:/locks.db`.
pub(in super::super) fn path_of_url(bytes: Vec<u8>) -> Option<PathBuf> {
    let path = String::from_utf8(bytes).ok()?;
    let begins_with_drive =
        matches!(path.as_bytes(), [b'/', drive, b':', ..] if drive.is_ascii_alphabetic());
    Some(path[usize::from(begins_with_drive)..].into())
}

/// The bytes that are free where `folder` lies.
pub(in super::super) fn free(folder: &Path) -> Option<u64> {
    let mut free = 0;
    let folder = folder.to_str()?;
    GetDiskFreeSpaceEx(Some(folder), Some(&mut free), None, None).ok()?;
    Some(free)
}

/// What kind of drive `folder` lies on.
pub(in super::super) fn file_system(folder: &Path) -> FileSystem {
    let Some(Component::Prefix(prefix)) = folder.components().next() else {
        return FileSystem::Unknown;
    };
    if let Prefix::UNC(..) | Prefix::VerbatimUNC(..) = prefix.kind() {
        return FileSystem::Network("SMB");
    }
    let root = format!(r"{}\", prefix.as_os_str().display());
    match GetDriveType(Some(&root)) {
        DRIVE::FIXED | DRIVE::REMOVABLE => FileSystem::Local,
        DRIVE::REMOTE => FileSystem::Network("a mapped drive"),
        DRIVE::RAMDISK => FileSystem::Memory,
        _ => FileSystem::Unknown,
    }
}
