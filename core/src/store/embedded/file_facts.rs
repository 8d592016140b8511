//! What an embedded store shows of itself: its file, and the file system that it lies on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::blocker::blocker;
use super::transaction::Access;
use super::url::Location;
use super::{EmbeddedStore, canonical};
use crate::diagnosis::{Diagnosis, FileFacts, FileSystem};
use crate::store::Failure;

impl EmbeddedStore {
    pub(super) async fn look(&self) -> Result<Diagnosis, Failure> {
        let Location::File(path) = &self.location else {
            return Ok(Diagnosis::Memory);
        };
        let path = canonical(path).map_err(Failure::unsent)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        // A file that is not there is not made by looking for it.
        let stopped = blocker(&path).filter(|blocker| blocker.is_stopped);
        let (integrity, blocker) = if stopped.is_some() || !path.exists() {
            (None, stopped)
        } else {
            match self.integrity().await {
                Ok(integrity) => (Some(integrity), None),
                Err(failure) if failure.is_temporary() => {
                    let blocker = blocker(&path);
                    (None, Some(blocker.ok_or(failure)?))
                }
                Err(failure) => return Err(failure),
            }
        };
        let found = fs::metadata(&path).ok();
        Ok(Diagnosis::File(FileFacts {
            integrity,
            blocker,
            mode: found.as_ref().map(|found| found.permissions().mode()),
            size: found.map_or(0, |found| found.len()),
            log_size: fs::metadata(log(&path)).map_or(0, |found| found.len()),
            folder_mode: fs::metadata(folder)
                .ok()
                .map(|found| found.permissions().mode()),
            free: free(folder),
            file_system: file_system(folder),
            path,
        }))
    }

    /// What SQLite finds wrong in the file.
    async fn integrity(&self) -> Result<Vec<String>, Failure> {
        self.database()?
            .run_on_worker(Access::Read, self.timeout, |work| {
                let mut check = work.connection.prepare("PRAGMA integrity_check(10)")?;
                let lines = check.query_map([], |row| row.get::<_, String>(0))?;
                let lines: rusqlite::Result<Vec<_>> = lines.collect();
                Ok(lines?.into_iter().filter(|line| line != "ok").collect())
            })
            .await
    }
}

#[allow(clippy::useless_conversion, reason = "some systems count in 32 bits")]
fn free(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    Some(u64::from(found.blocks_available()) * u64::from(found.fragment_size()))
}

/// What was committed and not yet written into the file.
fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// By its number in Linux's <linux/magic.h>, those that matter here.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn file_system(folder: &Path) -> FileSystem {
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
fn file_system(_: &Path) -> FileSystem {
    FileSystem::Unknown
}
