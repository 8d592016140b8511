//! Servers that others announce, judged: whether they can be reached, what replicas there are, how long a failover takes.

use std::net::IpAddr;
use std::time::Duration;

use leaselock::diagnosis::{Announced, ServerFacts};

use super::finding::Finding;
use super::server::{Part, field, number};
use super::size::short;

/// A lease is renewed after a third of its TTL, so that this part of it is left when the server goes, or more.
const LEFT: (u32, u32) = (2, 3);
/// What electing and telling add to the time that a server may be silent for: 0.2 to 2.1 s were seen.
const ELECTION: Duration = Duration::from_secs(2);

/// What a server that cannot be reached is, and how it is made to announce another address.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    pub(super) settings: &'static str,
}

/// Why a server that is announced cannot be reached; `None` where it can.
pub(super) fn unreached<T>(server: &Announced<T>, kind: Kind) -> Option<(String, String)> {
    let why = server.found.as_ref().err()?;
    let mapped = if server.reached_at == server.announced {
        String::new()
    } else {
        format!(" (looked for at {})", server.reached_at)
    };
    let seen = format!(
        "the {} {}{mapped} cannot be reached: {why}",
        kind.one, server.announced
    );
    let own = if is_of_own_network(&server.announced) {
        " Its address is one of its own machine or network."
    } else {
        ""
    };
    let todo = format!(
        "Bring it back if it is down.{own} If others reach it and this machine does not, have it announce an address that all clients reach ({}), or say where it is reached, by address_map.",
        kind.settings
    );
    Some((seen, todo))
}

/// Whether an announced address means something within a machine or a private network only.
fn is_of_own_network(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => host == "localhost",
    }
}

/// Findings on all servers of a kind that cannot be reached.
pub(super) fn addresses<T>(
    servers: &[Announced<T>],
    kind: Kind,
    finding: fn(&'static str, String) -> Finding,
    means: &str,
) -> Vec<Finding> {
    let found = servers.iter().filter_map(|server| {
        let (seen, todo) = unreached(server, kind)?;
        Some(finding(CHECK, seen).means(means).todo(todo))
    });
    found.collect()
}

/// The name of what is found of addresses.
pub(super) const CHECK: &str = "addresses";

/// What the replicas of a server are worth; `listed` are those that others know.
pub(super) fn replicas(facts: &ServerFacts, listed: usize, part: Part) -> Finding {
    const CHECK: &str = "replicas";
    let connected = number(&facts.info, "connected_slaves").unwrap_or(listed as u64);
    let required = number(&facts.config, "min-replicas-to-write");
    let in_touch = number(&facts.info, "min_slaves_good_slaves").unwrap_or(connected);
    let lag = field(&facts.config, "min-replicas-max-lag").unwrap_or("10");
    if let Some(required) = required.filter(|required| in_touch < *required) {
        return Finding::problem(
            CHECK,
            format!("{in_touch} in touch, min-replicas-to-write is {required}"),
        )
        .means("The server refuses writes (NOREPLICAS): none of its locks can be acquired.")
        .todo("Bring its replicas back, or lower min-replicas-to-write.");
    }
    if connected == 0 {
        return Finding::warning(CHECK, "none, so nothing takes over")
            .means("When this server is gone its locks stand still until it is back: none is acquired, renewed or given back.")
            .todo("Give it a replica, on another machine.");
    }
    let required = match required {
        Some(0) => "min-replicas-to-write is 0".to_owned(),
        None => "min-replicas-to-write could not be seen".to_owned(),
        Some(required) => {
            return Finding::ok(
                CHECK,
                format!(
                    "{connected}, at least {required} no more than {lag} s behind; a failover can still forget the last locks"
                ),
            );
        }
    };
    let forgets = "A lock is granted before a replica has it. A failover in that moment forgets it, and someone else can take it; only the token tells those holders apart.";
    let beside = match part {
        Part::Primary => "A primary that is cut off goes on for as long as cluster-node-timeout.",
        _ => {
            "A master that is cut off goes on beside the new one, for clients that no sentinel can tell."
        }
    };
    let finding = Finding::warning(CHECK, format!("{connected}; {required}"))
        .means(format!("{forgets} {beside}"));
    if connected < 2 {
        return finding.todo("With a second replica, min-replicas-to-write 1 and min-replicas-max-lag 2 have it stop writing without replicas; with one alone, no lock could be acquired while that is away. Check tokens where it matters.");
    }
    finding
        .todo("Let it stop writing without replicas, here and at the replicas, which may take its place: that keeps the gap short, but cannot close it. Check tokens where it matters.")
        .command("CONFIG SET min-replicas-to-write 1")
        .command("CONFIG SET min-replicas-max-lag 2")
}

/// How long a failover takes of a server that is gone: it is noticed after `silence`, the value of `setting`.
pub(super) fn failover(silence: Duration, setting: &str, further: &str, ttl: Duration) -> Finding {
    const CHECK: &str = "failover";
    let seen = format!(
        "begins {} after a server has gone ({setting}){further}",
        short(silence)
    );
    let (part, of) = LEFT;
    if silence + ELECTION < ttl / of * part {
        return Finding::ok(CHECK, seen);
    }
    let least = (silence + ELECTION).as_secs() * u64::from(of) / u64::from(part) + 1;
    Finding::warning(CHECK, seen)
        .means(format!(
            "A lease of {} may have run out by then: its holder loses it, though nobody else has taken it.",
            short(ttl)
        ))
        .todo(format!(
            "Lower it as far as the network allows, or take a TTL of {} or more.",
            short(Duration::from_secs(least))
        ))
}
