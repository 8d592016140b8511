//! A real server, started for these tests alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leaselock_simulation::server::{Config, Flavour};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_millis(150);

/// A running server. Dropped, it is killed.
pub(crate) struct Real {
    /// What the small one is to play.
    pub(crate) config: Config,
    /// How many commands were compared, and how many sequences tried again.
    pub(crate) steps: u64,
    pub(crate) retries: u64,
    /// How many were never answered in time.
    pub(crate) set_aside: u64,
    folder: PathBuf,
    child: Child,
}

/// A number that nobody chose.
pub(crate) fn any_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn binary(name: &str) -> Option<PathBuf> {
    let listed = std::env::var("LEASELOCK_TEST_SERVERS").ok();
    let found = match listed {
        Some(json) => {
            let listed: Vec<serde_json::Value> =
                serde_json::from_str(&json).expect("LEASELOCK_TEST_SERVERS holds a JSON list");
            let mut listed = listed.iter();
            let server = listed.find(|server| server["name"] == name);
            server.and_then(|server| Some(PathBuf::from(server["binary"].as_str()?)))
        }
        None => std::env::var_os(format!("LEASELOCK_{}_SERVER", name.to_uppercase()))
            .map(PathBuf::from)
            .or_else(|| {
                let program = format!("{name}-server");
                std::env::split_paths(&std::env::var_os("PATH")?)
                    .map(|folder| folder.join(&program))
                    .find(|path| path.is_file())
            }),
    };
    if found.is_none() {
        not_run(&format!("no {name}-server found"));
    }
    found
}

fn not_run(why: &str) {
    let in_ci = std::env::var("CI").as_deref() == Ok("true");
    assert!(!in_ci, "{why}");
    eprintln!("{why}: this test did not run");
}

impl Real {
    /// Starts one; `None` where there is none of the kind that is played.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let binary = binary(name)?;
        let version = version(&binary);
        let (flavour, played) = match name {
            "valkey" => (Flavour::Valkey9, "9."),
            _ => (Flavour::Redis7, "7.0."),
        };
        if !version.starts_with(played) {
            not_run(&format!(
                "{name} is {version}, and {played}x is what is played"
            ));
            return None;
        }
        let folder =
            std::env::temp_dir().join(format!("leaselock-differential-{:x}", any_number()));
        std::fs::create_dir(&folder).expect("a folder");
        let child = Command::new(&binary)
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--slowlog-log-slower-than",
                "-1",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .arg("--dir")
            .arg(&folder)
            .arg("--unixsocket")
            .arg(folder.join("socket"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let config = Config {
            version,
            ..Config::new(flavour)
        };
        let real = Self {
            config,
            steps: 0,
            retries: 0,
            set_aside: 0,
            folder,
            child,
        };
        let start = Instant::now();
        while UnixStream::connect(real.folder.join("socket")).is_err() {
            assert!(
                start.elapsed() < PATIENCE * 50,
                "the server does not listen"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(real)
    }

    /// Removes the folder in which it would save.
    pub(crate) fn lose_folder(&self) {
        std::fs::remove_dir_all(&self.folder).expect("removed");
    }

    pub(crate) fn connect(&self) -> Line {
        let socket = UnixStream::connect(self.folder.join("socket")).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        Line { socket }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// As `--version` says it: `v=7.0.15`.
fn version(binary: &PathBuf) -> String {
    let told = Command::new(binary).arg("--version").output();
    let told = String::from_utf8(told.expect("it runs").stdout).expect("text");
    let mut words = told.split_whitespace();
    let version = words.find_map(|word| word.strip_prefix("v="));
    version.expect("a version").to_owned()
}

/// A connection to it.
pub(crate) struct Line {
    socket: UnixStream,
}

impl Line {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("sent");
    }

    /// So many bytes, or as many as come.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.socket.read(&mut bytes[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// What is there beside that, without waiting for it.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        self.socket.set_nonblocking(true).expect("an option");
        let read = self.socket.read(&mut bytes).unwrap_or(0);
        self.socket.set_nonblocking(false).expect("an option");
        bytes.truncate(read);
        bytes
    }
}
