//! What an embedded store shows of itself: its file, and the file system that it lies on.

use std::fs;
use std::path::{Path, PathBuf};

use super::blocker::blocker;
use super::system::{file_system, free, mode};
use super::transaction::Access;
use super::url::Location;
use super::{EmbeddedStore, canonical};
use crate::diagnosis::{Diagnosis, FileFacts};
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
            mode: found.as_ref().and_then(mode),
            size: found.map_or(0, |found| found.len()),
            log_size: fs::metadata(log(&path)).map_or(0, |found| found.len()),
            folder_mode: fs::metadata(folder).ok().as_ref().and_then(mode),
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

/// What was committed and not yet written into the file.
fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
