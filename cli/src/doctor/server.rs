//! A Redis or Valkey server, judged: what it is, and what it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use leaselock::diagnosis::{Look, ServerFacts};

use super::finding::Finding;
use super::{data, network};

/// The oldest versions that have what the scripts use.
const OLDEST_REDIS: (u32, u32) = (6, 2);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

/// What a server is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is the one that the URL names.
    Alone,
    /// Sentinels name it as the master.
    Master,
    /// It has slots of a cluster.
    Primary,
}

/// All that can be said of a server, for leases of `ttl`; of its replicas only where it is alone.
pub(super) fn examine(facts: &ServerFacts, ttl: Duration, part: Part) -> Vec<Finding> {
    let mut findings = vec![version(facts)];
    if part != Part::Primary {
        findings.push(mode(facts));
    }
    findings.push(role(facts, part));
    findings.extend(writes(facts));
    findings.extend([
        rights(facts, part),
        data::eviction(facts),
        data::memory(facts),
        data::persistence(facts),
    ]);
    if part == Part::Alone {
        findings.push(data::replicas(facts));
    }
    findings.extend(data::confirming(facts));
    findings.extend([
        network::round_trip(facts, ttl),
        network::slow_commands(facts, ttl),
        network::clock(facts),
        network::connections(facts),
        network::transport(facts),
    ]);
    findings.extend(facts.certificate.map(network::certificate));
    findings
}

/// What it is, and where.
pub(super) fn title(facts: &ServerFacts) -> String {
    match identity(facts) {
        Some((name, version)) => format!("{name} {version} at {}", facts.address),
        None => format!("A server at {}", facts.address),
    }
}

/// A field of a look that succeeded.
pub(super) fn field<'a>(look: &'a Look<BTreeMap<String, String>>, name: &str) -> Option<&'a str> {
    look.as_ref().ok()?.get(name).map(String::as_str)
}

/// A number among the fields of a look that succeeded.
pub(super) fn number(look: &Look<BTreeMap<String, String>>, name: &str) -> Option<u64> {
    field(look, name)?.parse().ok()
}

fn identity(facts: &ServerFacts) -> Option<(&'static str, &str)> {
    if let Some(version) = field(&facts.info, "valkey_version") {
        return Some(("Valkey", version));
    }
    if let Some(version) = field(&facts.info, "redis_version") {
        return Some(("Redis", version));
    }
    let name = match field(&facts.hello, "server")? {
        "valkey" => "Valkey",
        _ => "Redis",
    };
    Some((name, field(&facts.hello, "version")?))
}

fn version(facts: &ServerFacts) -> Finding {
    let Some((name, version)) = identity(facts) else {
        return Finding::not_in_info("version", facts);
    };
    let oldest = if name == "Valkey" {
        OLDEST_VALKEY
    } else {
        OLDEST_REDIS
    };
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= oldest {
        return Finding::ok("version", format!("{name} {version}"));
    }
    let (major, minor) = oldest;
    Finding::problem(
        "version",
        format!("{name} {version}, older than {major}.{minor}"),
    )
    .means("Commands that leaselock uses are missing there, or do something else.")
    .todo(format!("Upgrade to {name} {major}.{minor} or newer."))
}

fn mode(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "mode";
    let in_cluster = field(&facts.info, "cluster_enabled") == Some("1");
    let mode = field(&facts.info, "redis_mode").or_else(|| field(&facts.hello, "mode"));
    match mode {
        Some("sentinel") => Finding::problem(CHECK, "this is a Sentinel, not a server")
            .means("It keeps no data, so there can be no lock in it.")
            .todo("Name the service whose master it watches: redis+sentinel://HOST:PORT/SERVICE."),
        Some("cluster") => cluster(CHECK),
        _ if in_cluster => cluster(CHECK),
        Some(_) => Finding::ok(CHECK, "one server, no cluster"),
        None => Finding::not_in_info(CHECK, facts),
    }
}

fn cluster(check: &'static str) -> Finding {
    Finding::problem(check, "cluster mode is on")
        .means("The server has a part of the locks only, and of those that it has a lock, its queue and the token counter lie in different slots: acquiring is refused (CROSSSLOT, MOVED).")
        .todo("Begin the URL with redis+cluster:// (TLS: rediss+cluster://).")
}

fn role(facts: &ServerFacts, part: Part) -> Finding {
    const CHECK: &str = "role";
    let role = field(&facts.info, "role").or_else(|| field(&facts.hello, "role"));
    let read_only = matches!(&facts.rights.unwritable, Some(why) if why.code == "READONLY");
    match role {
        Some("slave" | "replica") => replica(CHECK, part),
        _ if read_only => replica(CHECK, part),
        Some(_) => Finding::ok(CHECK, "primary: it takes writes"),
        None => Finding::not_in_info(CHECK, facts),
    }
}

fn replica(check: &'static str, part: Part) -> Finding {
    let finding = Finding::problem(check, "this is a replica")
        .means("A lock must be taken where all writes go. A replica refuses them (READONLY); one that is set up to take them would lose each again.");
    match part {
        Part::Alone => finding.todo(
            "Give the URL of its primary; `INFO replication` names it as master_host. One that changes is found by redis+sentinel:// or redis+cluster://.",
        ),
        Part::Master | Part::Primary => finding.todo(
            "Others take it for the primary: if that stays so after a failover's time, look at their logs.",
        ),
    }
}

/// Why the server takes no writes, if it does not.
fn writes(facts: &ServerFacts) -> Option<Finding> {
    let why = facts.rights.unwritable.as_ref()?;
    let told = match why.code.as_str() {
        "READONLY" => true,                 // By the role.
        "NOREPLICAS" => facts.info.is_ok(), // By the replicas.
        _ => false,
    };
    if told {
        return None;
    }
    let todo = match why.code.as_str() {
        "OOM" => "Free memory there, or raise maxmemory.",
        "MISCONF" => "Look at the server's log: it cannot save its data to disk.",
        "NOREPLICAS" => "Bring its replicas back, or lower min-replicas-to-write.",
        "LOADING" => "Wait until it has read its data.",
        "MASTERDOWN" => "Give the URL of its primary.",
        "CLUSTERDOWN" => {
            "Bring the servers of the cluster back; what is said of slots tells which."
        }
        _ => "Look at the server's log.",
    };
    let finding = Finding::problem("writes", format!("it takes no writes now: {}", why.words));
    Some(finding.means("No lock can be acquired.").todo(todo))
}

fn rights(facts: &ServerFacts, part: Part) -> Finding {
    const CHECK: &str = "rights";
    let each = match part {
        Part::Alone => "",
        Part::Master | Part::Primary => {
            " at every server, replicas too, for users are not replicated"
        }
    };
    let (rights, user) = (&facts.rights, &facts.user);
    if !rights.unknown.is_empty() {
        let unknown = rights.unknown.join(", ").to_uppercase();
        return Finding::problem(CHECK, format!("the server does not know {unknown}"))
            .means("Without these, locks do not work. A hosting service disables commands, and `rename-command` hides them.")
            .todo("Have them enabled under their own names, or use another server.");
    }
    if rights.missing.is_empty() && rights.untried {
        return Finding::unknown(
            CHECK,
            "could not look: not even an empty MULTI went through",
        );
    }
    if rights.missing.is_empty() && !rights.without.is_empty() {
        let without = rights.without.join(" ");
        return Finding::warning(CHECK, format!("user {user:?} may do all that is needed, and not {without}"))
            .means("Locks work without. But what ends a lease elsewhere (released by hand, broken, evicted, flushed) shows at its next renewal and not at once, and a waiter behind a lock of Dapr's looks every three seconds and is not told.")
            .todo(format!("If that matters, have an administrator run this{each}, where the server has these commands:"))
            .command(format!("ACL SETUSER {user} {}", rights.without.join(" ")));
    }
    if rights.missing.is_empty() {
        return Finding::ok(CHECK, format!("user {user:?} may do all that is needed"));
    }
    let mut seen = format!("user {user:?} lacks {}", rights.missing.join(" "));
    if rights.untried {
        seen.push_str(", without which the rest could not be tried");
    }
    Finding::problem(CHECK, seen)
        .means("The server refuses what needs it (NOPERM): depending on the command nothing can be acquired, waited for, renewed or given back.")
        .todo(format!("Have an administrator run this{each}, which grants all that leaselock needs and nothing else:"))
        .command(format!("ACL SETUSER {user} {}", rights.rule))
}
