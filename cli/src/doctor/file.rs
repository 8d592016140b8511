//! A store without a server, judged: its file, and the file system that it lies on.

use leaselock::diagnosis::{FileFacts, FileSystem};

use super::finding::Finding;
use super::size::bytes;

/// Permissions, as in chmod.
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// Below this a full disk is near.
const LITTLE_SPACE: u64 = 100_000_000;
/// Below this the next commits may fail.
const NO_SPACE: u64 = 1_000_000;
/// A log this long is not written back into the file any more.
const LONG_LOG: u64 = 100_000_000;

/// All that can be said of a file.
pub(super) fn examine(facts: &FileFacts) -> Vec<Finding> {
    vec![
        integrity(facts),
        transactions(facts),
        permissions(facts),
        file_system(facts),
        space(facts),
        log(facts),
    ]
}

/// What there is to say of a store in the memory of this process.
pub(super) fn examine_memory() -> Vec<Finding> {
    let finding = Finding::warning("memory", "the locks are in the memory of one process")
        .means("Every process has its own: what one holds keeps out nobody in another, such as this command. It is there for tests.")
        .todo("For all processes of one machine use file:PATH.db, for more machines a server.");
    vec![finding]
}

fn integrity(facts: &FileFacts) -> Finding {
    const CHECK: &str = "file";
    if facts.blocker.is_some() {
        return Finding::unknown(CHECK, "could not look: somebody keeps us out of it");
    }
    match facts.integrity.as_deref() {
        None => Finding::ok(CHECK, "there is none yet; the first lock makes it"),
        Some([]) => Finding::ok(CHECK, format!("sound, {}", bytes(facts.size))),
        Some([first, ..]) => Finding::problem(CHECK, format!("it is damaged: {first}"))
            .means("Locks may be gone, or seem to be held.")
            .todo("Stop what uses it, and move it away together with the files beside it that begin with its name. Locks are free then; tokens go on growing."),
    }
}

fn transactions(facts: &FileFacts) -> Finding {
    const CHECK: &str = "transactions";
    let Some(blocker) = &facts.blocker else {
        return Finding::ok(CHECK, "nobody is stopped in the middle of one");
    };
    let (process, name) = (blocker.process, &blocker.name);
    let how = if blocker.is_stopped {
        "is stopped"
    } else {
        "does not get on"
    };
    Finding::problem(
        CHECK,
        format!("process {process} ({name}) {how} in the middle of one"),
    )
    .means("Until it goes on or ends, every lock of the file stands still: none is acquired, renewed or given back, and what is held runs out.")
    .todo(format!("Let it go on (kill -CONT {process}), or end it (kill -KILL {process}): half a transaction leaves nothing behind. Where processes are stopped as a habit (a debugger, docker pause), use a server."))
}

fn permissions(facts: &FileFacts) -> Finding {
    const CHECK: &str = "permissions";
    let folder = facts.folder_mode.unwrap_or(0);
    let (what, mode) = match facts.mode {
        Some(mode) if mode & OTHERS_WRITE != 0 => ("the file", mode),
        _ if folder & OTHERS_WRITE != 0 && folder & STICKY == 0 => ("its folder", folder),
        Some(mode) => return Finding::ok(CHECK, format!("{:03o}", mode & 0o7777)),
        None if facts.folder_mode.is_some() => {
            return Finding::ok(CHECK, "600, once there is a file");
        }
        None => {
            return Finding::unknown(
                CHECK,
                "could not look: this system has no modes; a new file has the rights of its folder",
            );
        }
    };
    Finding::warning(
        CHECK,
        format!("every user may write {what} ({:03o})", mode & 0o7777),
    )
    .means("Whoever can write it can break and forge locks.")
    .todo("Take that right away (chmod o-w), and let those who share the locks share a group.")
}

fn file_system(facts: &FileFacts) -> Finding {
    const CHECK: &str = "file system";
    match facts.file_system {
        FileSystem::Local => Finding::ok(CHECK, "of this machine"),
        FileSystem::Memory => Finding::ok(
            CHECK,
            "in memory: a reboot empties it; tokens go on growing",
        ),
        FileSystem::Network(protocol) => Finding::problem(CHECK, format!("on another machine, by {protocol}"))
            .means("SQLite's locks do not reach from machine to machine, so one name can have two holders and the file can be damaged.")
            .todo("Keep it on a disk of this machine; for more machines use a server (redis://…)."),
        FileSystem::Fuse => Finding::warning(CHECK, "provided by a program (FUSE)")
            .means("Where that brings it from another machine, one name can have two holders and the file can be damaged.")
            .todo("Keep it on a disk of this machine, unless you know that this is one."),
        FileSystem::Unknown => Finding::unknown(CHECK, "could not look: this system does not say what it is"),
    }
}

fn space(facts: &FileFacts) -> Finding {
    const CHECK: &str = "free space";
    let Some(free) = facts.free else {
        return Finding::unknown(
            CHECK,
            "could not look: this system does not say how much is left",
        );
    };
    let seen = bytes(free);
    let finding = if free < NO_SPACE {
        Finding::problem(CHECK, seen)
    } else if free < LITTLE_SPACE {
        Finding::warning(CHECK, seen)
    } else {
        return Finding::ok(CHECK, seen);
    };
    finding
        .means("On a full disk no lock can be acquired or renewed.")
        .todo("Make room there.")
}

fn log(facts: &FileFacts) -> Finding {
    const CHECK: &str = "log";
    let seen = format!("{} not yet written back", bytes(facts.log_size));
    if facts.log_size < LONG_LOG {
        return Finding::ok(CHECK, seen);
    }
    Finding::warning(CHECK, seen)
        .means("The log is written back while nobody reads. That it has grown so long says that some process has been reading all the while, perhaps stopped in the middle of it; everything gets slower.")
        .todo("Find out who has the file open (fuser, lsof), and end what hangs.")
}
