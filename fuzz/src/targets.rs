//! What can be fed.

use std::path::PathBuf;
use std::{fs, io};

use leaselock::fuzzing;

use crate::hostile;

/// A reader of bytes of others.
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Reads an input, and panics where something is wrong; says how many hostile replies or inputs that was.
    pub run: fn(&[u8]) -> u64,
    /// How many of a hundred inputs it gets of a run of all.
    pub share: u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "replies",
        run: |bytes| one(fuzzing::replies, bytes),
        share: 30,
    },
    Target {
        name: "inbox",
        run: |bytes| one(fuzzing::inbox, bytes),
        share: 10,
    },
    Target {
        name: "urls",
        run: |bytes| one(fuzzing::url, bytes),
        share: 15,
    },
    Target {
        name: "names",
        run: |bytes| one(fuzzing::names, bytes),
        share: 15,
    },
    // Counted by replies, of which a world has many.
    Target {
        name: "servers",
        run: hostile::run,
        share: 30,
    },
];

fn one(read: fn(&[u8]), bytes: &[u8]) -> u64 {
    read(bytes);
    1
}

/// The inputs that a target begins with, in the order of their names.
///
/// # Errors
/// The folder cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "corpus", target]
        .iter()
        .collect();
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    files.into_iter().map(fs::read).collect()
}
