//! A disk without room: refused with what still works, nothing half done, and everything works again with room.

use std::process::Command;

use crate::children::Other;
use crate::places::{Folder, ms};

/// Starts another process that sees a file system of 128 KiB in the folder; `None` where the system does not let it.
fn on_a_small_disk(folder: &Folder) -> Option<Other> {
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a directory");
    let mount = format!("mount -t tmpfs -o size=128k tmpfs '{}'", disk.display());
    let try_out = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
        .status();
    if !try_out.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    let program = std::env::current_exe().expect("a path");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &format!("{mount} && exec \"$0\" \"$@\""),
    ]);
    command.arg(program);
    Some(Other::start_by(
        command,
        &format!("file:{}/locks.db", disk.display()),
    ))
}

#[test]
fn a_full_disk_is_told_and_passes() {
    let folder = Folder::new();
    let Some(mut other) = on_a_small_disk(&folder) else {
        eprintln!("not tested: no file system can be mounted here");
        return;
    };
    let disk = folder.path().join("disk");
    assert!(other.ask("acquire job 9000").starts_with('1'));
    other.ask(&format!("fill {}/filler", disk.display()));
    let mut said = String::new();
    for at in 0..500 {
        said = other.ask(&format!("acquire other-{at} 60000"));
        if !said.starts_with('1') {
            break;
        }
    }
    assert!(said.starts_with("STORE_REFUSED"), "{said}");
    for words in ["no room", "free some space", "ends with its ttl"] {
        assert!(said.contains(words), "{said}");
    }
    // What needs no room still works.
    assert_eq!(other.ask("inspect job"), "held");
    std::thread::sleep(ms(9_100));
    assert_eq!(other.ask("inspect job"), "free");

    assert_eq!(
        other.ask(&format!("remove {}/filler", disk.display())),
        "removed"
    );
    assert!(
        other.ask("acquire job 3000").starts_with('1'),
        "with room, it goes on"
    );
    other.end();
}
