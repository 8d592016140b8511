//! A Redis or Valkey server of a test's own, and what can happen to it.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that can be started: its name in messages, and its binary.
#[derive(Clone, Debug)]
pub struct Binary {
    pub name: String,
    pub path: PathBuf,
}

/// The servers there are: those that `tests/servers.py` found, or else what this machine has.
///
/// With none at all a test has nothing to run on: it says so, and fails under `CI=true`.
pub fn binaries() -> Vec<Binary> {
    let found = match std::env::var("LEASELOCK_TEST_SERVERS") {
        Ok(json) => {
            let listed: Vec<serde_json::Value> =
                serde_json::from_str(&json).expect("LEASELOCK_TEST_SERVERS holds a JSON list");
            let text = |server: &serde_json::Value, field: &str| {
                server[field].as_str().expect("a text").to_owned()
            };
            listed
                .iter()
                .map(|server| Binary {
                    name: text(server, "name"),
                    path: text(server, "binary").into(),
                })
                .collect()
        }
        Err(_) => ["redis", "valkey"]
            .into_iter()
            .filter_map(|name| {
                let path = std::env::var_os(format!("LEASELOCK_{}_SERVER", name.to_uppercase()))
                    .map(PathBuf::from)
                    .or_else(|| in_path(&format!("{name}-server")))?;
                Some(Binary {
                    name: name.to_owned(),
                    path,
                })
            })
            .collect::<Vec<_>>(),
    };
    if found.is_empty() {
        let missing = "no redis-server and no valkey-server found: this test did not run";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("{missing}");
    }
    found
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// One running server on a free loopback port, in a folder of its own. Dropped, it is killed.
///
/// Linux also kills it with the thread that started it.
pub struct Server {
    pub name: String,
    pub port: u16,
    pub folder: PathBuf,
    binary: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) tls: Option<(PathBuf, &'static str)>,
    /// Beside TLS it speaks plain text, on the port after its own.
    pub(super) also_plain: bool,
    /// It is a sentinel, and this the configuration that it begins with.
    pub(super) sentinel: Option<String>,
    environment: Vec<(&'static str, PathBuf)>,
    child: Option<Child>,
}

impl Server {
    /// Starts `binary` with `args` behind the options that keep it to itself.
    pub fn start(binary: &Binary, args: &[&str]) -> Self {
        Self::start_as(binary, args, None, Vec::new())
    }

    /// Starts it with every command written to disk before it is answered, for restarts that keep the data.
    pub fn start_durable(binary: &Binary) -> Self {
        Self::start(binary, &["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts it speaking TLS with the certificate `cert` of the folder `certs`.
    pub fn start_tls(binary: &Binary, certs: &Path, cert: &'static str) -> Self {
        Self::start_tls_with(binary, certs, cert, &[])
    }

    /// The same with `args`, which win over what TLS brings.
    pub fn start_tls_with(
        binary: &Binary,
        certs: &Path,
        cert: &'static str,
        args: &[&str],
    ) -> Self {
        Self::start_as(binary, args, Some((certs.to_owned(), cert)), Vec::new())
    }

    /// Starts it with these environment variables.
    pub fn start_in(binary: &Binary, environment: &[(&'static str, PathBuf)]) -> Self {
        Self::start_as(binary, &[], None, environment.to_vec())
    }

    fn start_as(
        binary: &Binary,
        args: &[&str],
        tls: Option<(PathBuf, &'static str)>,
        environment: Vec<(&'static str, PathBuf)>,
    ) -> Self {
        let mut server = Self::new(binary, args);
        server.tls = tls;
        server.environment = environment;
        for _ in 0..5 {
            server.port = free_port();
            if server.spawn() {
                return server;
            }
        }
        panic!("{} does not start:\n{}", server.name, server.log());
    }

    /// One that has not been started, and has no port yet.
    pub(super) fn new(binary: &Binary, args: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("leaselock-test-{}", super::fresh()));
        std::fs::create_dir(&folder).expect("a temporary folder");
        Self {
            name: binary.name.clone(),
            port: 0,
            folder,
            binary: binary.path.clone(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            tls: None,
            also_plain: false,
            sentinel: None,
            environment: Vec::new(),
            child: None,
        }
    }

    /// Starts one of each binary there is, for a test that runs on all of them in turn.
    pub fn each(args: &'static [&'static str]) -> impl Iterator<Item = Self> {
        binaries().into_iter().map(move |binary| {
            eprintln!("on {}", binary.name);
            Self::start(&binary, args)
        })
    }

    pub fn url(&self) -> String {
        if self.tls.is_some() {
            format!("rediss://localhost:{}", self.port)
        } else {
            format!("redis://127.0.0.1:{}", self.port)
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Where it speaks plain text.
    pub fn plain_port(&self) -> u16 {
        self.port + u16::from(self.also_plain)
    }

    /// A plain connection, for a test that plays another program or an operator.
    pub fn connect(&self) -> redis::Connection {
        self.plain_client().get_connection().expect("a connection")
    }

    /// What makes plain connections to it.
    pub fn plain_client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.plain_port())).expect("a URL")
    }

    /// Runs one command on a connection of its own; an error reply panics.
    pub fn run(&self, words: &[&str]) -> redis::Value {
        self.try_run(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, with an error reply as an error.
    pub fn try_run(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        command(words).query(&mut self.connect())
    }

    /// The reply of a command as text; `None` for null.
    pub fn text(&self, words: &[&str]) -> Option<String> {
        redis::from_redis_value(self.run(words)).expect("text or null")
    }

    /// The reply of a command as an integer.
    pub fn int(&self, words: &[&str]) -> i64 {
        redis::from_redis_value(self.run(words)).expect("an integer")
    }

    pub fn exists(&self, key: &str) -> bool {
        self.int(&["EXISTS", key]) == 1
    }

    /// How many connections it has, this one left out.
    pub fn connections(&self) -> usize {
        self.text(&["CLIENT", "LIST"])
            .map_or(0, |list| list.lines().count() - 1)
    }

    /// SIGSTOP: connections stay open and unanswered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status();
        assert!(done.expect("kill runs").success());
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on its port, with what it had written to disk.
    pub fn start_again(&mut self) {
        for _ in 0..20 {
            if self.spawn() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} does not start again:\n{}", self.name, self.log());
    }

    fn spawn(&mut self) -> bool {
        self.launch();
        self.is_ready()
    }

    /// Starts the process, without waiting for it.
    pub(super) fn launch(&mut self) {
        self.kill();
        let (port, plain_port) = (self.port.to_string(), self.plain_port().to_string());
        let log = std::fs::File::create(self.folder.join("log")).expect("a log");
        // A test program that is itself killed must not leave servers behind.
        let mut command = match in_path("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL"]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        if let Some(configuration) = &self.sentinel {
            let file = self.folder.join("sentinel.conf");
            if !file.exists() {
                std::fs::write(&file, configuration).expect("a configuration");
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", ""]);
            if !self.args.iter().any(|arg| arg == "--appendonly") {
                command.args(["--appendonly", "no"]);
            }
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(&self.folder);
        match &self.tls {
            None => command.args(["--port", &port]),
            Some((certs, cert)) => command
                .args(["--port", if self.also_plain { &plain_port } else { "0" }])
                .args(["--tls-auth-clients", "no", "--tls-port", &port])
                .arg("--tls-ca-cert-file")
                .arg(certs.join("ca.crt"))
                .arg("--tls-cert-file")
                .arg(certs.join(format!("{cert}.crt")))
                .arg("--tls-key-file")
                .arg(certs.join(format!("{cert}.key"))),
        };
        let child = command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        self.child = Some(child);
    }

    /// Waits until it answers; whether it does.
    pub(super) fn is_ready(&mut self) -> bool {
        let listens = if self.sentinel.is_some() {
            "Sentinel ID is"
        } else {
            "Ready to accept connections"
        };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let child = self.child.as_mut().expect("just started");
            if child.try_wait().expect("its state").is_some() {
                return false;
            }
            // What answers on the port may be another test's server, which was there first: ours says itself when it listens.
            if self.log().contains(listens) && self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn answers(&self) -> bool {
        if self.tls.is_some() {
            return TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        }
        self.plain_client()
            .get_connection()
            .and_then(|mut connection| redis::cmd("PING").query::<redis::Value>(&mut connection))
            .map_or_else(|error| error.code() == Some("NOAUTH"), |_| true)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// A plain command of these words.
pub fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command
}

/// The certificates of `tests/certs.py` in a temporary folder.
pub fn certificates() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("leaselock-certs-{}", super::fresh()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certs.py");
    let done = Command::new("python3").arg(script).arg(&folder).output();
    let done = done.expect("python3 runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    folder
}
