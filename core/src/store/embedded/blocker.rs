//! Who is in the middle of a transaction, as far as Linux tells: a process that is stopped there keeps everybody out.

use std::fs;
use std::path::Path;

use super::opening::beside;
use super::system::inode;
use crate::diagnosis::Blocker;

/// The byte of the `-shm` file by whose lock SQLite keeps a second writer out (its WAL file format, "WAL-Index Locks").
const WRITERS_BYTE: u64 = 120;

/// The process that writes to the store at `path` just now.
pub(super) fn blocker(path: &Path) -> Option<Blocker> {
    let shared = fs::metadata(beside(path, "-shm")).ok()?;
    let inode = inode(&shared)?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let process = locks.lines().find_map(|line| writer(line, inode))?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before it may hold anything, brackets too.
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    Some(Blocker {
        process,
        name: name.trim().to_owned(),
        is_stopped: matches!(state, Some('T' | 't')),
    })
}

/// Whose lock a line of `/proc/locks` tells of, where it is a writer's on the file of this number:
/// `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120`.
fn writer(line: &str, file: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let is_posix = words.next()? == "POSIX";
    let is_write = words.nth(1)? == "WRITE";
    let process = words.next()?.parse().ok()?;
    let inode: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
    let first: u64 = words.next()?.parse().ok()?;
    let last: u64 = match words.next()? {
        "EOF" => u64::MAX,
        last => last.parse().ok()?,
    };
    let locks = is_posix && is_write && inode == file;
    (locks && (first..=last).contains(&WRITERS_BYTE)).then_some(process)
}
