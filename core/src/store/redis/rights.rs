//! What a user must be allowed to do: the documented ACL rule, and whether the user at hand has it.

use std::sync::Arc;

use redis::{Pipeline, Value};

use super::config::{Config, Topology};
use super::diagnose::refusal;
use super::keys::{Keys, Prefix};
use crate::diagnosis::Rights;
use crate::name::LockId;

/// The commands on keys, in the order of the documented rules.
const ON_KEYS: &[&str] = &[
    "set",
    "get",
    "del",
    "exists",
    "incr",
    "pexpire",
    "pttl",
    "time",
    "scan",
    "zadd",
    "zrem",
    "zscore",
    "zcard",
    "zrange",
    "zrevrange",
    "zrandmember",
    "zpopmin",
    "multi",
    "exec",
    "eval",
    "evalsha",
];
/// How waiters are told.
const TELLING: &[&str] = &["publish", "pubsub|numsub", "subscribe"];
/// The same in a cluster, where the server knows channels with slots.
const TELLING_IN_SLOTS: &[&str] = &["spublish", "pubsub|shardnumsub", "ssubscribe"];
/// How the node of a cluster is found that has a lock.
const FINDING: &[&str] = &["cluster|slots", "asking"];

/// Names that are tried for one in a node's slots: enough to find one in a single slot.
const NAMES: u32 = 150_000;
/// What a node answers that has not got a slot, or not now: nothing of the user.
const ELSEWHERE: &[&str] = &["MOVED", "ASK", "TRYAGAIN"];

/// What locks work without: news then come later.
const OPTIONAL: &[&str] = &["client|tracking", "client|caching"];

/// Asks for every right without carrying anything out: in a transaction a server checks each command when it is queued,
/// and a malformed one among them makes EXEC throw all of it away.
pub(super) struct Probe {
    keys: Keys,
    channel: String,
    select: Option<String>,
    /// Locks count only when replicas have them.
    waits: bool,
    is_of_cluster: bool,
    /// Waiters are told by channels with slots.
    is_sharded: bool,
    patterns: Patterns,
}

/// What must be reachable: locks and counters, queues and holders, inboxes. With a prefix that is all that begins with it.
struct Patterns {
    locks: String,
    queues: String,
    inboxes: String,
}

impl Patterns {
    fn new(prefix: &Prefix) -> Self {
        let begin = match prefix.as_str() {
            "" => "lock||",
            prefix => prefix,
        };
        let locks = format!("~{begin}*");
        let queues = if begin.contains('{') {
            // All of its keys have the prefix's hash tag, so no queue needs one of its own.
            locks.clone()
        } else {
            format!("~{{{begin}*")
        };
        Self {
            locks,
            queues,
            inboxes: format!("&{begin}*"),
        }
    }
}

impl Probe {
    /// A probe of the rights to the locks of `app_id`, by names that nobody uses, in slots that the server has.
    pub(super) fn new(
        config: &Config,
        app_id: &Arc<str>,
        client_id: &str,
        has: impl Fn(u16) -> bool,
    ) -> Self {
        let prefix = config.prefix();
        let keys_of = |number: u32| {
            let name = format!("leaselock-doctor-{client_id}-{number}");
            Keys::new(prefix, &LockId::of_key(app_id.clone(), &name))
        };
        let is_of_cluster = *config.topology() == Topology::Cluster;
        let mut keys = keys_of(0);
        if is_of_cluster && !prefix.has_tag() {
            let mut further = 1..NAMES;
            while !has(keys.slot)
                && let Some(number) = further.next()
            {
                keys = keys_of(number);
            }
        }
        let database = config.database();
        Self {
            channel: if is_of_cluster {
                prefix.inbox_of_slot(client_id, keys.slot)
            } else {
                prefix.inbox(client_id)
            },
            keys,
            patterns: Patterns::new(prefix),
            select: (database != 0).then(|| database.to_string()),
            waits: config.replicas() > 0,
            is_of_cluster,
            is_sharded: is_of_cluster,
        }
    }

    /// The probe for the server of a cluster that knows no channels with slots; `None` where `rights` show that it does.
    pub(super) fn without_slots(self, rights: &Rights) -> Option<Self> {
        let knows_none = rights.unknown.contains(&"ssubscribe");
        knows_none.then_some(Self {
            is_sharded: false,
            ..self
        })
    }

    /// An empty transaction: only where that works may the commands be sent.
    pub(super) fn harmless() -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("MULTI").cmd("GET").cmd("EXEC");
        pipeline
    }

    /// The transaction that is thrown away.
    pub(super) fn request(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("MULTI");
        for command in self.commands() {
            let mut words = command.split('|');
            pipeline.cmd(words.next().unwrap_or_default());
            for word in words.chain(self.arguments(command)) {
                pipeline.arg(word);
            }
        }
        pipeline.cmd("GET").cmd("EXEC");
        pipeline
    }

    /// The commands that are needed.
    fn needed(&self) -> impl Iterator<Item = &'static str> {
        let telling = if self.is_sharded {
            TELLING_IN_SLOTS
        } else {
            TELLING
        };
        let finding = if self.is_of_cluster { FINDING } else { &[] };
        ON_KEYS.iter().chain(telling).chain(finding).copied()
    }

    /// The commands of options.
    fn further(&self) -> impl Iterator<Item = &'static str> {
        let select = self.select.is_some().then_some("select");
        select.into_iter().chain(self.waits.then_some("wait"))
    }

    /// The commands tried between MULTI and EXEC.
    fn commands(&self) -> impl Iterator<Item = &'static str> {
        let tried = self.needed();
        let tried = tried.filter(|command| !matches!(*command, "multi" | "exec"));
        let optional = OPTIONAL.iter().copied();
        tried.chain(self.further()).chain(optional)
    }

    fn arguments(&self, command: &str) -> Vec<&str> {
        let (lock, queue) = (self.keys.lock(), self.keys.queue.as_str());
        match command {
            "set" => vec![lock, "x", "NX", "PX", "1000"],
            "get" | "del" | "pttl" => vec![lock],
            "exists" | "zcard" | "zpopmin" | "zrandmember" => vec![queue],
            "incr" => vec![&self.keys.fence],
            "pexpire" => vec![lock, "1000"],
            "scan" => vec!["0", "COUNT", "1"],
            "zadd" => vec![queue, "1", "x"],
            "zrem" | "zscore" => vec![queue, "x"],
            "zrange" | "zrevrange" => vec![queue, "0", "0"],
            "eval" => vec!["return 1", "3", lock, queue, &self.keys.fence],
            "evalsha" => vec![
                "0000000000000000000000000000000000000000",
                "3",
                lock,
                queue,
                &self.keys.fence,
            ],
            "client|tracking" => vec!["ON", "OPTIN", "NOLOOP"],
            "client|caching" => vec!["YES"],
            "publish" | "spublish" => vec![&self.channel, "x"],
            "subscribe" | "ssubscribe" => vec![&self.channel],
            "wait" => vec!["0", "0"],
            "select" => self.select.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The rights when not even the empty transaction went through; `None` when it did.
    pub(super) fn without_transactions(&self, replies: &[Value]) -> Option<Rights> {
        let mut rights = self.rights();
        for (command, reply) in [("multi", replies.first()), ("exec", replies.last())] {
            if let Some(reply) = reply {
                note(&mut rights, command, "", reply);
            }
        }
        let works = rights.missing.is_empty() && rights.unknown.is_empty();
        rights.untried = !works || !matches!(replies.first(), Some(Value::Okay));
        rights.untried.then_some(rights)
    }

    /// The rights that the replies to [`request`](Self::request) show.
    pub(super) fn rights_shown(&self, replies: &[Value]) -> Rights {
        let mut rights = self.rights();
        for (command, reply) in self.commands().zip(replies.iter().skip(1)) {
            let reaches = self.arguments(command);
            let pattern = match reaches.first() {
                // It names keys of both kinds; the commands before have told which.
                _ if command.starts_with("eval") => "",
                Some(channel) if *channel == self.channel => &self.patterns.inboxes,
                Some(key) if key.starts_with('{') => &self.patterns.queues,
                _ => &self.patterns.locks,
            };
            note(&mut rights, command, pattern, reply);
        }
        rights
    }

    fn rights(&self) -> Rights {
        let commands = self.needed().chain(OPTIONAL.iter().copied());
        let commands = commands.chain(self.further());
        let commands: Vec<String> = commands.map(|command| format!("+{command}")).collect();
        let Patterns {
            locks,
            queues,
            inboxes,
        } = &self.patterns;
        let mut rule = locks.clone();
        if queues != locks {
            rule = format!("{rule} {queues}");
        }
        rule = format!("{rule} {inboxes} {}", commands.join(" "));
        Rights {
            rule,
            ..Rights::default()
        }
    }
}

/// Notes what the reply to one command says of the user's rights.
fn note(rights: &mut Rights, command: &'static str, pattern: &str, reply: &Value) {
    let Some(refusal) = refusal(reply) else {
        return;
    };
    let words = refusal.words.to_ascii_lowercase();
    if OPTIONAL.contains(&command) {
        if refusal.code == "NOPERM" || words.contains("unknown") {
            rights.without.push(format!("+{command}"));
        }
        return;
    }
    match refusal.code.as_str() {
        // A denied EXEC ends the transaction "because of: NOPERM …".
        "EXECABORT" if !words.contains("noperm") => {}
        "NOPERM" | "EXECABORT" => {
            // A denied command is named in the words; else it is the key or the channel that is out of reach.
            let missing = if words.contains("to run the") {
                format!("+{command}")
            } else {
                pattern.to_owned()
            };
            if !missing.is_empty() && !rights.missing.contains(&missing) {
                rights.missing.push(missing);
            }
        }
        "ERR" if words.contains("unknown command") => rights.unknown.push(command),
        // How a command that was made to fail ends.
        "ERR" => {}
        code if ELSEWHERE.contains(&code) => {}
        _ => {
            rights.unwritable.get_or_insert(refusal);
        }
    }
}
