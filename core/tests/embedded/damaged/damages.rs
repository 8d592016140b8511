//! What may happen to the files of a store.

use std::fs::{self, OpenOptions, Permissions};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use fastrand::Rng;

use crate::children::Other;
use crate::places::Folder;

/// The files of a whole store, in which locks are held and waited for: the database, and the log of its last commits.
pub(super) struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
    shared_memory: Vec<u8>,
    /// The log of another store.
    other_log: Vec<u8>,
    /// A database of another application's.
    other_database: Vec<u8>,
}

impl Files {
    pub(super) fn make() -> Self {
        let store = || {
            let folder = Folder::new();
            let (mut one, mut other) = (Other::start(&folder.url()), Other::start(&folder.url()));
            for at in 0..40 {
                one.ask(&format!("acquire held-{at} 600000"));
            }
            other.tell("acquire held-0 600000");
            crate::places::queued(&folder.blocking(), "held-0", 1);
            one.kill();
            other.kill();
            let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
            ["locks.db", "locks.db-wal", "locks.db-shm"].map(read)
        };
        let ([database, log, shared_memory], [_, other_log, _]) = (store(), store());
        let folder = Folder::new();
        folder
            .plain()
            .execute_batch("CREATE TABLE people (name TEXT)")
            .expect("made");
        Self {
            database,
            log,
            shared_memory,
            other_log,
            other_database: fs::read(folder.file()).expect("a file"),
        }
    }

    /// Puts them where nothing is.
    pub(super) fn put(&self, path: &Path) {
        let files = [
            ("locks.db", &self.database),
            ("locks.db-wal", &self.log),
            ("locks.db-shm", &self.shared_memory),
        ];
        for (file, bytes) in files {
            let file = path.with_file_name(file);
            fs::write(&file, bytes).expect("written");
            super::for_everybody(&file);
        }
    }
}

/// One of the files.
#[derive(Clone, Copy, Debug)]
pub(super) enum File {
    Database,
    Log,
    SharedMemory,
    Inboxes,
}

impl File {
    fn name(self) -> &'static str {
        match self {
            Self::Database => "locks.db",
            Self::Log => "locks.db-wal",
            Self::SharedMemory => "locks.db-shm",
            Self::Inboxes => "locks.db-inbox",
        }
    }
}

/// What stands in the place of a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Text,
    /// Of another application.
    OtherDatabase,
    /// Of another store.
    OtherLog,
    Folder,
    /// It leads nowhere.
    Link,
}

/// What was done to the files.
#[derive(Debug)]
pub(super) enum Damage {
    Truncated(File, u64),
    /// With random bytes.
    Overwritten(File, Vec<Range<u64>>),
    /// One bit each, at so many places.
    Flipped(File, Vec<u64>),
    Extended(File, u64),
    /// The header says that it was made by another version.
    OfVersion(u8),
    Replaced(File, By),
    Removed(File),
    Mode(File, u32),
    ModeOfFolder(u32),
}

impl Damage {
    /// Any; to files that are open, or not.
    pub(super) fn any(chance: &mut Rng, files: &Files, are_open: bool) -> Self {
        // SQLite has mapped the shared memory: one that is cut ends the process, and nothing tells of bytes that another wrote there.
        let last = if are_open {
            File::Log
        } else {
            File::SharedMemory
        };
        let all = [File::Database, File::Database, File::Log, last];
        let file = *chance.choice(&all).expect("one");
        let length = match file {
            File::Database => files.database.len(),
            File::Log => files.log.len(),
            File::SharedMemory | File::Inboxes => files.shared_memory.len(),
        } as u64;
        let all = [file, File::SharedMemory, File::Inboxes];
        let any = *chance.choice(&all).expect("one");
        // The header matters most.
        let at = |chance: &mut Rng| {
            if chance.u8(..4) == 0 {
                chance.u64(..100)
            } else {
                chance.u64(..length)
            }
        };
        match chance.u8(..16) {
            0..3 => Self::Truncated(
                file,
                if chance.u8(..20) == 0 {
                    0
                } else {
                    chance.u64(..length)
                },
            ),
            3..7 => {
                let ranges = (0..chance.usize(1..6)).map(|_| {
                    let from = at(chance);
                    from..from + chance.u64(1..200)
                });
                Self::Overwritten(file, ranges.collect())
            }
            7..10 => Self::Flipped(file, (0..chance.usize(1..40)).map(|_| at(chance)).collect()),
            10 => Self::Extended(file, chance.u64(1..5_000)),
            11 => Self::OfVersion(*chance.choice(&[0, 1, 3, 200]).expect("one")),
            12 => match chance.u8(..5) {
                0 => Self::Replaced(file, By::Text),
                1 => Self::Replaced(File::Database, By::OtherDatabase),
                2 => Self::Replaced(File::Log, By::OtherLog),
                3 => Self::Replaced(any, By::Folder),
                _ => Self::Replaced(any, By::Link),
            },
            13 => Self::Removed(any),
            14 => Self::Mode(
                any,
                *chance.choice(&[0o000, 0o400, 0o200, 0o500]).expect("one"),
            ),
            _ => Self::ModeOfFolder(*chance.choice(&[0o000, 0o555, 0o333]).expect("one")),
        }
    }

    /// Does it; what is not there stays so.
    pub(super) fn inflict(&self, path: &Path, files: &Files, chance: &mut Rng) {
        let at = |file: &File| path.with_file_name(file.name());
        let open = |file: &File| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(at(file))
                .ok()
        };
        match self {
            Self::Truncated(file, length) => {
                if let Some(file) = open(file) {
                    let shorter = file.metadata().expect("a file").len().min(*length);
                    file.set_len(shorter).expect("set");
                }
            }
            Self::Overwritten(file, ranges) => {
                if let Some(file) = open(file) {
                    for range in ranges {
                        let bytes: Vec<u8> = range.clone().map(|_| chance.u8(..)).collect();
                        file.write_all_at(&bytes, range.start).expect("written");
                    }
                }
            }
            Self::Flipped(file, places) => {
                if let Some(file) = open(file) {
                    for place in places {
                        let mut byte = [0];
                        if file.read_exact_at(&mut byte, *place).is_ok() {
                            byte[0] ^= 1 << chance.u8(..8);
                            file.write_all_at(&byte, *place).expect("written");
                        }
                    }
                }
            }
            Self::Extended(file, more) => {
                if let Some(file) = open(file) {
                    let length = file.metadata().expect("a file").len();
                    let bytes: Vec<u8> = (0..*more).map(|_| chance.u8(..)).collect();
                    file.write_all_at(&bytes, length).expect("written");
                }
            }
            Self::OfVersion(version) => {
                let file = open(&File::Database).expect("the database");
                file.write_all_at(&[0, 0, 0, *version], 60)
                    .expect("written");
                // Its log has the whole first page.
                let _ = fs::remove_file(at(&File::Log));
            }
            Self::Replaced(file, by) => {
                let path = at(file);
                remove(&path);
                match by {
                    By::Text => fs::write(&path, b"Dear diary, ".repeat(300)).expect("written"),
                    By::OtherDatabase => fs::write(&path, &files.other_database).expect("written"),
                    By::OtherLog => fs::write(&path, &files.other_log).expect("written"),
                    By::Folder => fs::create_dir(&path).expect("made"),
                    By::Link => symlink("nowhere/at/all", &path).expect("made"),
                }
                if !matches!(by, By::Link) {
                    super::for_everybody(&path);
                }
            }
            Self::Removed(file) => remove(&at(file)),
            Self::Mode(file, mode) => {
                let _ = fs::set_permissions(at(file), Permissions::from_mode(*mode));
            }
            Self::ModeOfFolder(mode) => {
                let folder = path.parent().expect("a folder");
                fs::set_permissions(folder, Permissions::from_mode(*mode)).expect("set");
            }
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("removed");
    } else {
        let _ = fs::remove_file(path);
    }
}
