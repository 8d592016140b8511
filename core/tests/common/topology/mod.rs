//! Servers that belong together, each test's own: a master with replicas and sentinels, and a cluster.

mod cluster;
mod sentinels;

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

pub use cluster::{Cluster, Move};
use redis::{RedisResult, Value, from_redis_value};
pub use sentinels::{SERVICE, Sentinels};

use super::server::command;
use super::{Binary, Server, ms};

/// What may take how long on a busy machine before a test gives up.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a node is given to answer one question: it may be stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a server may be silent where nothing is to fail over.
const CALM_MS: &str = "20000";

/// How the nodes differ from plain ones. `Options::default()` is: not at all.
#[derive(Default)]
pub struct Options<'a> {
    /// More options of every data node, such as `--user …`; the default user must stay able to do everything.
    pub args: &'a [&'a str],
    /// More lines of the configuration that each sentinel begins with.
    pub sentinel: &'a str,
    /// The folder and the name of the certificate with which all nodes speak TLS, among each other as well.
    pub tls: Option<(&'a Path, &'static str)>,
}

impl Options<'_> {
    fn data_node(&self, binary: &Binary, args: &[&str]) -> Server {
        self.secured(Server::new(binary, &[args, self.args].concat()))
    }

    fn secured(&self, mut server: Server) -> Server {
        if let Some((certs, cert)) = self.tls {
            server.tls = Some((certs.to_owned(), cert));
            server.also_plain = true;
            // Nodes let each other in by certificates for clients only.
            let certificate = |kind| certs.join(format!("client.{kind}")).display().to_string();
            let client = [
                "--tls-client-cert-file".to_owned(),
                certificate("crt"),
                "--tls-client-key-file".to_owned(),
                certificate("key"),
            ];
            let among = ["--tls-cluster", "yes", "--tls-replication", "yes"];
            server.args.extend(among.map(str::to_owned));
            server.args.extend(client);
        }
        server
    }
}

/// How far a node's port of the cluster bus is from its port.
const BUS: u16 = 10_000;

/// A port that is free now, as are the one after it and that of the cluster bus.
///
/// They are below those that the system gives to connections, so that a node which is down finds its port again.
fn node_port() -> u16 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    loop {
        let random = RandomState::new().build_hasher().finish() % 6_000;
        let port = 10_000 + 2 * u16::try_from(random).expect("below 6,000");
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) && free(port + BUS) {
            return port;
        }
    }
}

/// Starts all at once; one whose port was taken meanwhile tries another.
fn start_all(servers: &mut [Server]) {
    for server in &mut *servers {
        server.port = node_port();
        server.launch();
    }
    for server in servers {
        let mut tries = 5;
        while !server.is_ready() {
            tries -= 1;
            assert!(
                tries > 0,
                "{} does not start:\n{}",
                server.name,
                server.log()
            );
            server.port = node_port();
            server.launch();
        }
    }
}

fn url(kind: &str, nodes: &[Server]) -> String {
    let scheme = if nodes[0].tls.is_some() {
        "rediss"
    } else {
        "redis"
    };
    let hosts: Vec<_> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port))
        .collect();
    format!("{scheme}+{kind}://{}", hosts.join(","))
}

/// Asks a node that may be down or stopped.
fn ask(server: &Server, words: &[&str]) -> RedisResult<Value> {
    let mut connection = server
        .plain_client()
        .get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    command(words).query(&mut connection)
}

fn try_text(server: &Server, words: &[&str]) -> RedisResult<String> {
    Ok(from_redis_value(ask(server, words)?)?)
}

fn says(server: &Server, words: &[&str], part: &str) -> bool {
    try_text(server, words).is_ok_and(|text| text.contains(part))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what}: not so after {LIMIT:?}");
        std::thread::sleep(ms(20));
    }
}
