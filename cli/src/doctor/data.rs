//! Whether the server keeps its data: memory, disk, replicas.

use leaselock::diagnosis::ServerFacts;

use super::finding::Finding;
use super::server::{field, number};
use super::size::bytes;

/// From this share of maxmemory on, there is little room left.
const NEARLY_FULL_PERCENT: u64 = 90;

pub(super) fn eviction(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "eviction";
    let policy = either(facts, "maxmemory_policy", "maxmemory-policy");
    let (Some(policy), Some(limit)) = (policy, limit(facts)) else {
        return Finding::not_in_info(CHECK, facts);
    };
    if policy == "noeviction" {
        return Finding::ok(CHECK, "none: maxmemory-policy is noeviction");
    }
    if limit == 0 {
        return Finding::ok(
            CHECK,
            format!("none: there is no maxmemory (its policy would be {policy})"),
        );
    }
    let evicted = number(&facts.info, "evicted_keys").unwrap_or(0);
    let so_far = match evicted {
        0 => String::new(),
        _ => format!("; {evicted} keys were thrown away since it started"),
    };
    Finding::problem(
        CHECK,
        format!("maxmemory-policy is {policy}, maxmemory {}{so_far}", bytes(limit)),
    )
    .means("Short of memory the server throws keys away, and locks are among those that it may choose. Such a lock can be taken by someone else while its holder still works.")
    .todo("Let it refuse writes instead, here and in its configuration file, or give the locks a server of their own.")
    .command("CONFIG SET maxmemory-policy noeviction")
}

pub(super) fn memory(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "memory";
    let used = number(&facts.info, "used_memory");
    let (Some(used), Some(limit)) = (used, limit(facts)) else {
        return Finding::not_in_info(CHECK, facts);
    };
    if limit == 0 {
        return Finding::ok(CHECK, format!("{} used, no maxmemory", bytes(used)));
    }
    let seen = format!("{} used of maxmemory {}", bytes(used), bytes(limit));
    if used < limit / 100 * NEARLY_FULL_PERCENT {
        return Finding::ok(CHECK, seen);
    }
    Finding::warning(CHECK, seen)
        .means("Once it is full, locks can no longer be acquired (OOM), or are thrown away where the policy evicts; renewing and giving back go on.")
        .todo("Raise maxmemory, or find out what fills it.")
}

pub(super) fn persistence(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "persistence";
    const LOST: &str = "Locks that are gone can be taken at once, while their old holders work on until their next renewal. Tokens go on growing, so a resource that checks them stays safe.";
    let aof = match either(facts, "aof_enabled", "appendonly") {
        Some(on) => on == "1" || on == "yes",
        None => return Finding::not_in_info(CHECK, facts),
    };
    let failing = [
        ("aof_last_write_status", "append-only file"),
        ("rdb_last_bgsave_status", "snapshot"),
    ];
    for (status, what) in failing {
        if field(&facts.info, status).is_some_and(|status| status != "ok") {
            return Finding::problem(CHECK, format!("the last {what} could not be written"))
                .means("The server refuses writes (MISCONF) while it cannot save, unless it is told not to mind; then a restart loses locks.")
                .todo("Look at the server's log and its disk.");
        }
    }
    match (aof, field(&facts.config, "appendfsync"), field(&facts.config, "save")) {
        (true, Some("always"), _) => Finding::ok(
            CHECK,
            "append-only file, on disk before a lock is granted: a restart loses none",
        ),
        (true, Some("no"), _) => Finding::warning(CHECK, "append-only file with appendfsync no")
            .means(format!("A crash of the machine loses what was written within the last half minute or so. {LOST}"))
            .command("CONFIG SET appendfsync everysec"),
        (true, _, _) => Finding::ok(
            CHECK,
            "append-only file: a crash of the machine can lose the last second",
        ),
        (false, _, Some("")) => Finding::warning(CHECK, "none: nothing is written to disk")
            .means(format!("A restart loses every lock. {LOST}"))
            .todo("If a restart must not free the locks, switch the append-only file on, here and in the configuration file.")
            .command("CONFIG SET appendonly yes"),
        (false, _, Some(_)) => Finding::warning(CHECK, "snapshots only")
            .means(format!("A crash loses what was taken since the last snapshot, which can be an hour ago. {LOST}"))
            .todo("If a crash must not free the locks, switch the append-only file on, here and in the configuration file.")
            .command("CONFIG SET appendonly yes"),
        (false, _, None) => Finding::warning(CHECK, "no append-only file; whether there are snapshots could not be seen")
            .means(format!("A crash loses locks. {LOST}"))
            .todo("If a crash must not free the locks, switch the append-only file on."),
    }
}

pub(super) fn replicas(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "replicas";
    let Some(connected) = number(&facts.info, "connected_slaves") else {
        return Finding::not_in_info(CHECK, facts);
    };
    let required = number(&facts.config, "min-replicas-to-write");
    let in_touch = number(&facts.info, "min_slaves_good_slaves");
    let lag = field(&facts.config, "min-replicas-max-lag").unwrap_or("10");
    match (connected, required) {
        (connected, Some(required)) if in_touch.unwrap_or(connected) < required => {
            Finding::problem(
                CHECK,
                format!(
                    "{} in touch, min-replicas-to-write is {required}",
                    in_touch.unwrap_or(connected)
                ),
            )
            .means("The server refuses writes (NOREPLICAS): no lock can be acquired.")
            .todo("Bring its replicas back, or lower min-replicas-to-write.")
        }
        (0, _) => Finding::ok(CHECK, "none, so no failover can lose a lock"),
        (_, Some(0) | None) => {
            let seen = match required {
                Some(_) => format!("{connected}, min-replicas-to-write is 0"),
                None => format!("{connected}; min-replicas-to-write could not be seen"),
            };
            Finding::warning(CHECK, seen)
                .means("A lock is granted before a replica has it. A failover in that moment forgets it, and someone else can take it; and a primary that is cut off goes on granting locks beside the new one. Only the token tells those holders apart.")
                .todo("Let it stop writing without replicas: that keeps the gap short, but cannot close it. Have two replicas first: with one, its restart stops all writes. Check tokens where it matters.")
                .command("CONFIG SET min-replicas-to-write 1")
                .command("CONFIG SET min-replicas-max-lag 2")
        }
        (_, Some(required)) => Finding::ok(
            CHECK,
            format!(
                "{connected}, at least {required} no more than {lag} s behind; a failover can still forget the last locks"
            ),
        ),
    }
}

/// Whether there are as many replicas as have to confirm a lock; `None` where none has to.
pub(super) fn confirming(facts: &ServerFacts) -> Option<Finding> {
    const CHECK: &str = "confirming";
    let wanted = u64::from(facts.confirming);
    if wanted == 0 {
        return None;
    }
    let Some(connected) = number(&facts.info, "connected_slaves") else {
        return Some(Finding::not_in_info(CHECK, facts));
    };
    let seen = format!("replicas={wanted}, and {connected} are connected");
    if connected >= wanted {
        return Some(Finding::ok(CHECK, seen));
    }
    Some(
        Finding::problem(CHECK, seen)
            .means("A lock counts only when so many have it: none can be acquired, and leases end at their deadlines.")
            .todo("Bring the replicas back, or ask for fewer."),
    )
}

/// A value that INFO shows, or else CONFIG GET.
fn either<'a>(facts: &'a ServerFacts, info: &str, config: &str) -> Option<&'a str> {
    field(&facts.info, info).or_else(|| field(&facts.config, config))
}

fn limit(facts: &ServerFacts) -> Option<u64> {
    either(facts, "maxmemory", "maxmemory")?.parse().ok()
}
