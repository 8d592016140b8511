//! Unix: an inbox is a FIFO, files are kept apart by their modes, and a file is known by its number.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

use super::Unreachable;
use crate::diagnosis::FileSystem;
use crate::fork::InChild;

/// The longest line that is written into an inbox at once. A pipe with less room than this refuses what does not fit.
const LONGEST_LINE: usize = 4096;
/// What a pipe holds where the system does not say.
const PIPE: usize = 65_536;

/// Device and inode, by which a file that was replaced is noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Identity(u64, u64);

pub(in super::super) fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|found| Identity(found.dev(), found.ino()))
}

/// The number by which `/proc/locks` names a file.
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
pub(in super::super) fn inode(found: &Metadata) -> Option<u64> {
    Some(found.ino())
}

/// The permissions, as in chmod.
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
pub(in super::super) fn mode(found: &Metadata) -> Option<u32> {
    Some(found.permissions().mode())
}

/// What is made with these options is for its owner alone.
pub(in super::super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// The right to make a store's file: one process of a directory has it at a time.
pub(in super::super) struct Alone {
    _directory: Flock<File>,
}

impl Alone {
    /// `WouldBlock`: somebody else has it just now.
    pub(in super::super) fn beside(path: &Path) -> io::Result<Self> {
        let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _directory: lock }),
            Err((_, Errno::EINTR)) => Err(io::ErrorKind::WouldBlock.into()),
            Err((_, error)) => Err(error.into()),
        }
    }
}

/// Makes the directory of the inboxes.
pub(in super::super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes an inbox that nobody reads yet.
pub(in super::super) fn make_inbox(path: &Path) -> io::Result<()> {
    Ok(mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// Opens an inbox for one message; never waits.
pub(in super::super) fn open_inbox(path: &Path) -> Result<File, Unreachable> {
    OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(
            |error| match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                Errno::ENXIO => Unreachable::Abandoned,
                Errno::ENOENT | Errno::ENOTDIR => Unreachable::Missing,
                _ => Unreachable::Failed,
            },
        )
}

/// The reading end of an inbox.
pub(in super::super) struct InboxReader {
    // Dropped before the descriptor is closed, and its number used again.
    _in_child: InChild,
    pipe: pipe::Receiver,
    room: usize,
    buffer: Vec<u8>,
}

impl InboxReader {
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
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
            buffer: vec![0; room.max(LONGEST_LINE)],
        })
    }

    /// Waits for what is written and appends it to `unfinished`; tells whether the inbox was full, and something may not have
    /// fitted.
    pub(in super::super) async fn read(&mut self, unfinished: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            self.pipe.readable().await?;
            match self.pipe.try_read(&mut self.buffer) {
                Ok(read) => {
                    unfinished.extend_from_slice(&self.buffer[..read]);
                    return Ok(read + LONGEST_LINE > self.room);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
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

/// The path that the decoded bytes of a `file://` URL stand for.
#[allow(clippy::unnecessary_wraps, reason = "elsewhere a path is text")]
pub(in super::super) fn path_of_url(bytes: Vec<u8>) -> Option<PathBuf> {
    Some(OsString::from_vec(bytes).into())
}

/// The bytes that are free where `folder` lies.
#[allow(clippy::useless_conversion, reason = "some systems count in 32 bits")]
pub(in super::super) fn free(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    Some(u64::from(found.blocks_available()) * u64::from(found.fragment_size()))
}

/// By its number in Linux's <linux/magic.h>, those that matter here.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in super::super) fn file_system(folder: &Path) -> FileSystem {
    let Ok(found) = nix::sys::statfs::statfs(folder) else {
        return FileSystem::Unknown;
    };
    // The type of the number differs from one C library to the next; magic numbers have 32 bits.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "see above"
    )]
    match found.filesystem_type().0 as u32 {
        0x6969 => FileSystem::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => FileSystem::Network("SMB"),
        0x0102_1997 => FileSystem::Network("9P"),
        0x00c3_6400 => FileSystem::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Network("AFS"),
        0x0bd0_0bd0 => FileSystem::Network("Lustre"),
        0x0116_1970 => FileSystem::Network("GFS2"),
        0x7461_636f => FileSystem::Network("OCFS2"),
        0x6573_5546 => FileSystem::Fuse,
        0x0102_1994 | 0x8584_58f6 => FileSystem::Memory,
        _ => FileSystem::Local,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in super::super) fn file_system(_: &Path) -> FileSystem {
    FileSystem::Unknown
}
