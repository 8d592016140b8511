//! A server whose wall clock a test can move.

use std::path::PathBuf;
use std::process::Command;

use super::server::{Binary, Server, binaries};

/// A server that lives by a clock of its own.
pub struct Shifted {
    pub server: Server,
    folder: PathBuf,
}

impl Shifted {
    /// Starts each server that lets its clock be moved: one that is linked statically does not.
    pub fn each() -> impl Iterator<Item = Self> {
        binaries().into_iter().filter_map(|binary| {
            let shifted = Self::start(&binary);
            shifted.write(3_600_000);
            let moves = shifted.offset_ms() > 3_500_000;
            // Valkey answers by a time that it has read before: until it is the right one, a key would end an hour later.
            shifted.move_to(0);
            assert!(
                moves || binary.name != "redis",
                "Debian's server is linked dynamically"
            );
            moves.then_some(shifted)
        })
    }

    fn start(binary: &Binary) -> Self {
        let folder = std::env::temp_dir().join(format!("leaselock-clock-{}", super::fresh()));
        std::fs::create_dir(&folder).expect("a temporary folder");
        let library = folder.join("clock_shift.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/clock_shift.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([library.as_os_str(), source.as_ref()])
            .status();
        assert!(compiled.expect("cc runs").success());
        let shift = folder.join("shift");
        std::fs::write(&shift, 0_i64.to_ne_bytes()).expect("written");
        let environment = [("LD_PRELOAD", library), ("CLOCK_SHIFT", shift)];
        Self {
            server: Server::start_in(binary, &environment),
            folder,
        }
    }

    /// Moves the server's clock to so many milliseconds ahead of (or behind) ours, and waits until it tells so.
    pub fn move_to(&self, shift_ms: i64) {
        let start = std::time::Instant::now();
        self.write(shift_ms);
        while (self.offset_ms() - shift_ms).abs() > 5_000 {
            assert!(
                start.elapsed().as_secs() < 5,
                "the server's clock is {} ms ahead, not {shift_ms}",
                self.offset_ms()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
            self.write(shift_ms);
        }
    }

    fn write(&self, shift_ms: i64) {
        use std::io::Write as _;
        let file = self.folder.join("shift");
        // In place: the server has the file mapped.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .expect("the file");
        file.write_all(&shift_ms.to_ne_bytes()).expect("written");
    }

    /// How far the server's clock is ahead of ours.
    pub fn offset_ms(&self) -> i64 {
        let (seconds, _): (i64, i64) =
            redis::from_redis_value(self.server.run(&["TIME"])).expect("two numbers");
        let ours = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970");
        (seconds - i64::try_from(ours.as_secs()).expect("a time")) * 1000
    }
}

impl Drop for Shifted {
    fn drop(&mut self) {
        self.server.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
