//! What a store shows of itself to anybody who asks whether the store can keep the promises of a lock: facts, and no
//! judgement.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What could be seen of one aspect, or what the store said instead.
pub type Look<T> = std::result::Result<T, Refusal>;

/// What a store shows of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Diagnosis {
    /// A Redis or Valkey server.
    Server(Box<ServerFacts>),
    /// The master that sentinels name.
    Sentinel(Box<SentinelFacts>),
    /// A cluster of servers.
    Cluster(Box<ClusterFacts>),
    /// A file of this machine.
    File(FileFacts),
    /// The memory of this process.
    Memory,
}

/// A command's refusal, in the server's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first word, such as `NOPERM`.
    pub code: String,
    /// The whole refusal.
    pub words: String,
}

/// What a server shows.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// The server's address, without credentials.
    pub address: String,
    /// How the server is reached.
    pub transport: Transport,
    /// The user that the URL names; without one the server's `default`.
    pub user: String,
    /// Whether the URL holds a password.
    pub has_password: bool,
    /// The fields of `HELLO`, which needs no right: `server`, `version`, `mode`, `role` and others.
    pub hello: Look<BTreeMap<String, String>>,
    /// The fields of `INFO`.
    pub info: Look<BTreeMap<String, String>>,
    /// Settings by `CONFIG GET`, those that matter here and that the server has.
    pub config: Look<BTreeMap<String, String>>,
    /// The newest entries of the slow log.
    pub slow: Look<Vec<SlowCommand>>,
    /// The server's wall clock beside ours.
    pub clock: Look<ClockOffset>,
    /// The time from command to answer of each probe, one after the other.
    pub round_trips: Vec<Duration>,
    /// What the user may do.
    pub rights: Rights,
    /// How many replicas have to have a lock before it counts: `replicas` of the URL.
    pub confirming: u32,
    /// When the certificate runs out that the server showed; `None` without TLS.
    pub certificate: Option<SystemTime>,
    /// The fields of `CLUSTER INFO`, of a cluster's node.
    pub cluster: Option<Look<BTreeMap<String, String>>>,
}

/// A server that others announce, looked at from here.
#[derive(Clone, Debug)]
pub struct Announced<T> {
    /// The address that they announce.
    pub announced: String,
    /// Where it was looked for: there, or where `address_map` says.
    pub reached_at: String,
    /// What was seen, or why nothing was.
    pub found: std::result::Result<T, String>,
}

/// What a cluster shows.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// The hosts that the URL names.
    pub address: String,
    /// The servers that have slots; where nobody told which have, those that the URL names.
    pub primaries: Vec<PrimaryFacts>,
    /// The slots that no server has, or what was said instead of telling.
    pub unowned: Look<Vec<RangeInclusive<u16>>>,
}

/// A server of a cluster that has slots.
#[derive(Clone, Debug)]
pub struct PrimaryFacts {
    /// The server itself.
    pub server: Announced<ServerFacts>,
    /// The server's slots.
    pub slots: Vec<RangeInclusive<u16>>,
    /// The server's replicas that the cluster takes for well, and whether they can be reached from here.
    pub replicas: Vec<Announced<()>>,
}

/// What the sentinels of a service show, and the service's servers.
#[derive(Clone, Debug)]
pub struct SentinelFacts {
    /// The service that the URL names.
    pub service: String,
    /// The user by which the sentinels are asked.
    pub user: String,
    /// All that a user of the sentinels needs, in the words of an ACL rule.
    pub rule: String,
    /// Those that the URL names, and those that they announce.
    pub sentinels: Vec<Announced<ServiceFacts>>,
    /// The master that they name; where they disagree, the newest.
    pub master: Option<Announced<ServerFacts>>,
    /// The master's replicas, as far as anybody tells of them, and whether they can be reached from here.
    pub replicas: Vec<Announced<()>>,
}

/// What one sentinel shows of a service.
#[derive(Clone, Debug)]
pub struct ServiceFacts {
    /// Where the master is; `None` where the sentinel knows no such service.
    pub master: Look<Option<String>>,
    /// The fields of `SENTINEL MASTER`.
    pub state: Look<BTreeMap<String, String>>,
    /// What the user lacks at this sentinel, in the words of an ACL rule.
    pub missing: Vec<String>,
    /// When the certificate runs out that the sentinel showed; `None` without TLS.
    pub certificate: Option<SystemTime>,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A socket of this machine.
    Unix,
    /// TCP in plain text, within this machine.
    Loopback,
    /// TCP in plain text, over a network.
    Plain,
    /// TLS, the certificate verified.
    Tls,
    /// TLS with whoever answers: the certificate was not verified.
    UnverifiedTls,
}

/// A command that kept the server busy: nobody else is served meanwhile.
#[derive(Clone, Debug)]
pub struct SlowCommand {
    /// The command's name.
    pub command: String,
    /// When the command began, by the server's clock.
    pub at: SystemTime,
    /// How long the command took.
    pub took: Duration,
}

/// A server's wall clock beside ours.
#[derive(Clone, Copy, Debug)]
pub struct ClockOffset {
    /// How far the server is from us, whichever way.
    pub offset: Duration,
    /// Whether the server is ahead.
    pub ahead: bool,
    /// How far off the measurement may be: half of its round trip.
    pub within: Duration,
}

/// Which of the rights that leaselock needs a user has. They were asked for without carrying anything out.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// What the user lacks, in the words of an ACL rule: `+incr`, `~lock||*`.
    pub missing: Vec<String>,
    /// What the user could do without and lacks, or what the server does not know of it: it makes news come at once that
    /// timers would bring later.
    pub without: Vec<String>,
    /// Commands that the server does not know at all: renamed or disabled, or too old a server.
    pub unknown: Vec<&'static str>,
    /// Whether nothing else could be tried, since that would have changed data.
    pub untried: bool,
    /// Why the server takes no writes just now.
    pub unwritable: Option<Refusal>,
    /// All that is needed, and that is of use, in the words of an ACL rule.
    pub rule: String,
}

/// What a store in a file shows.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// The file's path.
    pub path: PathBuf,
    /// What SQLite finds wrong in the file; `None` where there is no file yet, or somebody keeps us out.
    pub integrity: Option<Vec<String>>,
    /// Who keeps everybody out of the file.
    pub blocker: Option<Blocker>,
    /// The file's mode, where there is one.
    pub mode: Option<u32>,
    /// The mode of the file's folder.
    pub folder_mode: Option<u32>,
    /// The bytes of the file.
    pub size: u64,
    /// The bytes of the file's write-ahead log.
    pub log_size: u64,
    /// The bytes that are free on the file system the file lies on.
    pub free: Option<u64>,
    /// The kind of file system the file lies on.
    pub file_system: FileSystem,
}

/// A process that keeps all others out of a file: it is in the middle of a transaction, and does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The process's number.
    pub process: u32,
    /// The program's name.
    pub name: String,
    /// Whether the process is stopped: by SIGSTOP, a debugger or Ctrl-Z.
    pub is_stopped: bool,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// On a disk of this machine.
    Local,
    /// In this machine's memory.
    Memory,
    /// Provided by a program, which may get it from elsewhere.
    Fuse,
    /// On another machine, by this protocol.
    Network(&'static str),
    /// This system does not say.
    Unknown,
}
