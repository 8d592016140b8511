//! Sentinels and the master that they name, judged.

use std::time::Duration;

use leaselock::diagnosis::{Announced, SentinelFacts, ServiceFacts};

use super::announced::{self, Kind};
use super::finding::{Finding, merged};
use super::network;
use super::server::{self, Part, field, number};
use super::size::short;

const SENTINEL: Kind = Kind {
    one: "sentinel",
    many: "sentinels",
    settings: "sentinel announce-ip, sentinel announce-port",
};
const MASTER: Kind = Kind {
    one: "master",
    many: "masters",
    settings: "replica-announce-ip, replica-announce-port; sentinel resolve-hostnames and announce-hostnames for names",
};
const REPLICA: Kind = Kind {
    one: "replica",
    many: "replicas",
    ..MASTER
};
/// With fewer the one that dies takes the majority with it.
const FEWEST: u64 = 3;

pub(super) fn title(facts: &SentinelFacts) -> String {
    let master = facts.master.as_ref().map(|master| &master.announced);
    let nobody = "which no sentinel knows".to_owned();
    let place = master.map_or(nobody, |announced| format!("now at {announced}"));
    format!("The master of {}, {place}", facts.service)
}

/// All that can be said of what sentinels watch, for leases of `ttl`.
pub(super) fn examine(facts: &SentinelFacts, ttl: Duration) -> Vec<Finding> {
    if let Some(nothing) = unfound(facts) {
        return vec![nothing];
    }
    let mut findings = vec![agreement(facts)];
    findings.extend(addresses(facts));
    let each = answers(facts).map(|(sentinel, said)| {
        let mut findings = vec![
            sentinels(said),
            health(said),
            rights(facts, said),
            failover(said, ttl),
        ];
        findings.extend(said.certificate.map(network::certificate));
        (sentinel.reached_at.clone(), findings)
    });
    findings.extend(merged(each.collect()));
    if let Some(Ok(master)) = facts.master.as_ref().map(|master| &master.found) {
        findings.extend(server::examine(master, ttl, Part::Master));
        findings.push(announced::replicas(
            master,
            facts.replicas.len(),
            Part::Master,
        ));
    }
    findings
}

/// The sentinels that answered.
fn answers(
    facts: &SentinelFacts,
) -> impl Iterator<Item = (&Announced<ServiceFacts>, &ServiceFacts)> {
    let sentinels = facts.sentinels.iter();
    sentinels.filter_map(|sentinel| Some((sentinel, sentinel.found.as_ref().ok()?)))
}

/// Why there is no master to look at.
fn unfound(facts: &SentinelFacts) -> Option<Finding> {
    if answers(facts).next().is_none() {
        let whys = facts
            .sentinels
            .iter()
            .filter_map(|it| it.found.as_ref().err());
        let whys: Vec<&str> = whys.map(String::as_str).collect();
        let seen = format!("no sentinel answers: {}", whys.join("; "));
        return Some(Finding::problem("connection", seen)
            .means("Nobody tells where the master is: no lock can be acquired, and one that is held only while the connection to its master lasts."));
    }
    let is_unknown = |said: &ServiceFacts| matches!(&said.master, Ok(None));
    if answers(facts).all(|(_, said)| is_unknown(said)) {
        let seen = format!("no sentinel knows a service {:?}", facts.service);
        return Some(Finding::problem("service", seen)
            .means("No lock can be acquired.")
            .todo("Name one that they watch, behind their hosts in the URL; `SENTINEL MASTERS` lists those."));
    }
    None
}

/// Whether all name the same master.
fn agreement(facts: &SentinelFacts) -> Finding {
    const CHECK: &str = "agreement";
    let mut named: Vec<(String, Vec<&str>)> = Vec::new();
    for (sentinel, said) in answers(facts) {
        let master = match &said.master {
            Ok(Some(master)) => {
                let epoch = field(&said.state, "config-epoch").unwrap_or("unknown");
                format!("{master} (config-epoch {epoch})")
            }
            Ok(None) => "no such service".to_owned(),
            Err(refusal) => format!("nothing ({})", refusal.words),
        };
        match named.iter_mut().find(|(it, _)| *it == master) {
            Some((_, by)) => by.push(&sentinel.reached_at),
            None => named.push((master, vec![&sentinel.reached_at])),
        }
    }
    if let [(master, by)] = &named[..] {
        let seen = format!(
            "{master} is named by all that answer, {} in number",
            by.len()
        );
        return Finding::ok(CHECK, seen);
    }
    let each: Vec<String> = named
        .iter()
        .map(|(master, by)| format!("{} by {}", master, by.join(", ")))
        .collect();
    Finding::warning(CHECK, format!("the sentinels disagree: {}", each.join("; ")))
        .means("The one of the highest config-epoch counts. A client that reaches none of those that know it stays with the old master.")
        .todo("A failover passes within seconds. If this stays, the sentinels do not hear each other, or one has an old configuration: look at `SENTINEL SENTINELS` and their logs.")
}

fn addresses(facts: &SentinelFacts) -> Vec<Finding> {
    let mut findings = announced::addresses(
        &facts.sentinels,
        SENTINEL,
        Finding::warning,
        "It cannot tell of a new master here. While others do, nothing is lost.",
    );
    if let Some(master) = &facts.master
        && let Some((seen, todo)) = announced::unreached(master, MASTER)
    {
        let finding = Finding::problem(announced::CHECK, seen);
        let means = "No lock can be acquired, renewed or given back from here.";
        findings.push(finding.means(means).todo(todo));
    }
    findings.extend(announced::addresses(
        &facts.replicas,
        REPLICA,
        Finding::warning,
        "Once it takes over, no lock can be reached from here.",
    ));
    if findings.is_empty() {
        let seen = format!(
            "the master, {} {} and {} {} announce what can be reached from here",
            facts.replicas.len(),
            REPLICA.many,
            facts.sentinels.len(),
            SENTINEL.many
        );
        findings.push(Finding::ok(announced::CHECK, seen));
    }
    findings
}

/// How many sentinels there are, and how many it takes.
fn sentinels(said: &ServiceFacts) -> Finding {
    const CHECK: &str = "sentinels";
    let others = number(&said.state, "num-other-sentinels");
    let (Some(others), Some(quorum)) = (others, number(&said.state, "quorum")) else {
        return unseen(CHECK, said);
    };
    let count = others + 1;
    let seen = format!("{count}, of which {quorum} have to find the master gone");
    let todo = "Have three or five of them, on machines that fail one by one, and a quorum of more than half.";
    if quorum > count {
        return Finding::problem(CHECK, seen)
            .means("There are not so many, so there is no failover.")
            .todo(todo);
    }
    if count < FEWEST || quorum == count {
        return Finding::warning(CHECK, seen)
            .means("When one is gone there is no failover any more.")
            .todo(todo);
    }
    Finding::ok(CHECK, seen)
}

/// Whether the master is taken for well.
fn health(said: &ServiceFacts) -> Finding {
    const CHECK: &str = "master";
    let Some(flags) = field(&said.state, "flags") else {
        return unseen(CHECK, said);
    };
    let bad = ["s_down", "o_down", "disconnected", "failover_in_progress"];
    let bad: Vec<&str> = flags.split(',').filter(|flag| bad.contains(flag)).collect();
    if bad.is_empty() {
        return Finding::ok(CHECK, "taken for well");
    }
    Finding::problem(CHECK, format!("the sentinel takes it for {}", bad.join(", ")))
        .means("A failover is about to begin, or under way.")
        .todo("If this stays, look at the sentinel's log: too few agree, or no replica is fit to take over.")
}

fn rights(facts: &SentinelFacts, said: &ServiceFacts) -> Finding {
    const CHECK: &str = "sentinel rights";
    let user = &facts.user;
    if said.missing.is_empty() {
        let seen = format!("user {user:?} may do all that is needed");
        return Finding::ok(CHECK, seen);
    }
    let seen = format!("user {user:?} lacks {}", said.missing.join(" "));
    let finding = Finding::problem(CHECK, seen)
        .means("The sentinel does not tell where the master is, or not when that changes, or not of the other sentinels.")
        .todo("Have an administrator run this at every sentinel, which grants all that leaselock needs there and nothing else:");
    finding.command(format!("ACL SETUSER {user} {}", facts.rule))
}

fn failover(said: &ServiceFacts, ttl: Duration) -> Finding {
    let Some(silence) = number(&said.state, "down-after-milliseconds") else {
        return unseen("failover", said);
    };
    let again = number(&said.state, "failover-timeout").map(Duration::from_millis);
    let further = again.map(|again| {
        format!(
            "; failover-timeout is {}: one that fails is tried again after twice that",
            short(again)
        )
    });
    announced::failover(
        Duration::from_millis(silence),
        "down-after-milliseconds",
        &further.unwrap_or_default(),
        ttl,
    )
}

fn unseen(check: &'static str, said: &ServiceFacts) -> Finding {
    match &said.state {
        Err(refusal) => Finding::refused(check, "SENTINEL MASTER", refusal),
        Ok(_) => Finding::unknown(
            check,
            "could not look: SENTINEL MASTER says nothing about it",
        ),
    }
}
