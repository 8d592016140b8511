//! A cluster, judged: its slots, its primaries, and what happens when one is gone.

use std::ops::RangeInclusive;
use std::time::Duration;

use leaselock::diagnosis::{ClusterFacts, PrimaryFacts, ServerFacts};

use super::announced::{self, Kind};
use super::finding::{Finding, merged};
use super::server::{self, Part, field, number};

const PRIMARY: Kind = Kind {
    one: "primary",
    many: "primaries",
    settings: "cluster-announce-ip, cluster-announce-port, or cluster-announce-hostname with cluster-preferred-endpoint-type hostname",
};
const REPLICA: Kind = Kind {
    one: "replica",
    many: "replicas",
    ..PRIMARY
};
/// So many ranges of slots are shown.
const SHOWN: usize = 5;

pub(super) fn title(facts: &ClusterFacts) -> String {
    let mut hosts = facts.address.split(',');
    let first = hosts.next().unwrap_or_default();
    match hosts.count() {
        0 => format!("The cluster of {first}"),
        others => format!("The cluster of {first} and {others} more"),
    }
}

/// All that can be said of a cluster, for leases of `ttl`.
pub(super) fn examine(facts: &ClusterFacts, ttl: Duration) -> Vec<Finding> {
    let mut findings = vec![slots(facts)];
    findings.extend(addresses(facts));
    let each = facts.primaries.iter().filter_map(|primary| {
        let found = primary.server.found.as_ref().ok()?;
        let mut findings = server::examine(found, ttl, Part::Primary);
        findings.push(announced::replicas(
            found,
            primary.replicas.len(),
            Part::Primary,
        ));
        findings.extend([state(found), coverage(found), failover(found, ttl)]);
        Some((primary.server.reached_at.clone(), findings))
    });
    findings.extend(merged(each.collect()));
    findings
}

fn slots(facts: &ClusterFacts) -> Finding {
    const CHECK: &str = "slots";
    let unowned = match &facts.unowned {
        Ok(unowned) => unowned,
        Err(refusal) => return Finding::refused(CHECK, "CLUSTER SLOTS", refusal),
    };
    if unowned.is_empty() {
        let primaries = facts.primaries.len();
        return Finding::ok(CHECK, format!("all have an owner, {primaries} in number"));
    }
    let count: usize = unowned.iter().map(ExactSizeIterator::len).sum();
    Finding::problem(CHECK, format!("{count} have no owner: {}", ranges(unowned)))
        .means("No lock in them can be acquired, renewed or given back; with cluster-require-full-coverage none at all.")
        .todo("Bring the servers back that had them, or give them to others: `redis-cli --cluster fix`.")
}

fn ranges(slots: &[RangeInclusive<u16>]) -> String {
    let shown = slots.iter().take(SHOWN);
    let mut shown: Vec<String> = shown
        .map(|slots| match (slots.start(), slots.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    if slots.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

fn addresses(facts: &ClusterFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut primaries, mut replicas) = (0, 0);
    for PrimaryFacts {
        server,
        replicas: own,
        ..
    } in &facts.primaries
    {
        primaries += 1;
        replicas += own.len();
        if let Some((seen, todo)) = announced::unreached(server, PRIMARY) {
            let finding = Finding::problem(announced::CHECK, seen)
                .means("Locks in its slots cannot be acquired, renewed or given back from here.");
            findings.push(finding.todo(todo));
        }
        findings.extend(announced::addresses(
            own,
            REPLICA,
            Finding::warning,
            "Once it takes over, the locks in its slots cannot be reached from here.",
        ));
    }
    if findings.is_empty() {
        let seen = format!(
            "{primaries} {} and {replicas} {} announce what can be reached from here",
            PRIMARY.many, REPLICA.many
        );
        findings.push(Finding::ok(announced::CHECK, seen));
    }
    findings
}

fn state(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "cluster";
    let Some(look) = &facts.cluster else {
        return Finding::unknown(CHECK, "could not look");
    };
    match (look, field(look, "cluster_state")) {
        (Err(refusal), _) => Finding::refused(CHECK, "CLUSTER INFO", refusal),
        (_, Some("ok")) => Finding::ok(CHECK, "cluster_state is ok"),
        (_, state) => Finding::problem(CHECK, format!("cluster_state is {}", state.unwrap_or("unknown")))
            .means("The server refuses all commands on keys (CLUSTERDOWN): it sees no majority of the primaries, or slots without an owner.")
            .todo("Bring the others back, or the network between them; `CLUSTER NODES` shows whom it misses."),
    }
}

fn coverage(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "coverage";
    match (
        &facts.config,
        field(&facts.config, "cluster-require-full-coverage"),
    ) {
        (Err(refusal), _) => Finding::refused(CHECK, "CONFIG GET", refusal),
        (_, Some("yes")) => Finding::ok(
            CHECK,
            "cluster-require-full-coverage is yes: while a slot has no owner, all locks stand still",
        ),
        (_, Some("no")) => Finding::ok(
            CHECK,
            "cluster-require-full-coverage is no: while a slot has no owner, only its locks stand still",
        ),
        _ => Finding::unknown(CHECK, "could not look: CONFIG GET says nothing about it"),
    }
}

fn failover(facts: &ServerFacts, ttl: Duration) -> Finding {
    const CHECK: &str = "failover";
    match (&facts.config, number(&facts.config, "cluster-node-timeout")) {
        (Err(refusal), _) => Finding::refused(CHECK, "CONFIG GET", refusal),
        (_, Some(silence)) => {
            let silence = Duration::from_millis(silence);
            announced::failover(silence, "cluster-node-timeout", "", ttl)
        }
        _ => Finding::unknown(CHECK, "could not look: CONFIG GET says nothing about it"),
    }
}
