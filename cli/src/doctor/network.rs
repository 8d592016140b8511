//! Whether commands arrive and are answered in time, and what time it is there.

use std::time::{Duration, SystemTime};

use leaselock::diagnosis::{ServerFacts, Transport};
use leaselock::options::DEFAULT_COMMAND_TIMEOUT;

use super::finding::Finding;
use super::server::{field, number};
use super::size::short;

/// A lease is renewed after this part of its TTL.
const RENEW_AFTER: u32 = 3;
/// A renewal may go unanswered for this part of the TTL before it is tried again.
const ANSWER_PART: u32 = 6;
/// A round trip above this part of what a renewal may take leaves little room for a worse day.
const LITTLE_ROOM: u32 = 4;
/// What is further back in the slow log tells little of today.
const RECENT: Duration = Duration::from_secs(24 * 3600);
/// Whoever renews certificates by hand needs some time.
const RENEW_CERTIFICATE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Clocks that are kept by NTP agree far better than this.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);
/// From this share of maxclients on, there is little room left.
const NEARLY_FULL_PERCENT: u64 = 90;

pub(super) fn round_trip(facts: &ServerFacts, ttl: Duration) -> Finding {
    const CHECK: &str = "round trip";
    let mut sorted = facts.round_trips.clone();
    sorted.sort_unstable();
    let (median, worst) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    let (renewed, limit) = (ttl / RENEW_AFTER, answer_limit(ttl));
    let seen = format!(
        "{} ({} at worst); a lease of {} is renewed every {}",
        short(median),
        short(worst),
        short(ttl),
        short(renewed)
    );
    let longer = short(Duration::from_secs(
        (worst * ANSWER_PART * 2).as_secs().max(1) + 1,
    ));
    let todo = format!("Take a TTL of {longer} or more, or come nearer to the server.");
    if median >= limit {
        return Finding::problem(CHECK, seen)
            .means(format!(
                "A renewal may go unanswered for {}. Here it often takes longer, so leases will be lost while their holders work.",
                short(limit)
            ))
            .todo(todo);
    }
    if worst >= limit || median >= limit / LITTLE_ROOM {
        return Finding::warning(CHECK, seen)
            .means(format!(
                "A renewal may go unanswered for {}, which leaves little room for a slow moment.",
                short(limit)
            ))
            .todo(todo);
    }
    Finding::ok(CHECK, seen)
}

/// How long a renewal may go unanswered before it is tried again.
fn answer_limit(ttl: Duration) -> Duration {
    (ttl / ANSWER_PART).min(DEFAULT_COMMAND_TIMEOUT)
}

pub(super) fn slow_commands(facts: &ServerFacts, ttl: Duration) -> Finding {
    const CHECK: &str = "slow commands";
    let slow = match &facts.slow {
        Ok(slow) => slow,
        Err(refusal) => return Finding::refused(CHECK, "SLOWLOG GET", refusal),
    };
    let now = SystemTime::now();
    let recent = slow.iter().filter(|entry| {
        let age = now.duration_since(entry.at).unwrap_or_default();
        age < RECENT
    });
    let Some(slowest) = recent.max_by_key(|entry| entry.took) else {
        return match field(&facts.config, "slowlog-log-slower-than") {
            Some("-1") => Finding::unknown(CHECK, "could not look: the server keeps no slow log"),
            _ => Finding::ok(CHECK, "none in the server's slow log of the last day"),
        };
    };
    let seen = format!(
        "{} kept the server busy for {} within the last day",
        slowest.command,
        short(slowest.took)
    );
    // A renewal is due when a third of the TTL has gone; two thirds later the lease is lost.
    let fatal = ttl / RENEW_AFTER * (RENEW_AFTER - 1);
    let means = "Nobody else is served meanwhile: no renewal is answered, no waiter woken.";
    let todo = "Split such commands up, or give the locks a server of their own. `SLOWLOG GET` shows them.";
    if slowest.took >= fatal {
        Finding::problem(CHECK, seen)
            .means(format!(
                "{means} A lease of {} can be lost in that time.",
                short(ttl)
            ))
            .todo(todo)
    } else if slowest.took >= answer_limit(ttl) {
        Finding::warning(CHECK, seen).means(means).todo(todo)
    } else {
        Finding::ok(CHECK, seen)
    }
}

pub(super) fn clock(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "clock";
    let clock = match &facts.clock {
        Ok(clock) => clock,
        Err(refusal) => return Finding::refused(CHECK, "TIME", refusal),
    };
    if clock.offset <= clock.within + CLOCK_TOLERANCE {
        return Finding::ok(
            CHECK,
            format!("as ours, within {}", short(clock.offset.max(clock.within))),
        );
    }
    let way = if clock.ahead { "ahead of" } else { "behind" };
    Finding::warning(
        CHECK,
        format!("the server's clock is {} {way} this machine's", short(clock.offset)),
    )
    .means("Leases do not depend on it, tokens do: they count up from the server's clock. Where data is lost and the next clock is behind the last one (a failover, a clock set right), tokens can go back.")
    .todo("Keep the clocks of the server, its replicas and this machine by NTP.")
}

/// The certificate that a server showed, which runs out at `expiry`.
pub(super) fn certificate(expiry: SystemTime) -> Finding {
    const CHECK: &str = "certificate";
    let left = expiry.duration_since(SystemTime::now());
    let finding = match left {
        Err(past) => Finding::problem(CHECK, format!("it ran out {} ago", short(past.duration()))),
        Ok(left) if left >= RENEW_CERTIFICATE => {
            return Finding::ok(CHECK, format!("good for {}", short(left)));
        }
        Ok(left) => Finding::warning(CHECK, format!("it runs out in {}", short(left))),
    };
    finding
        .means("From then on every new connection is refused: leases last as long as the connections that there are.")
        .todo("Have it renewed, and the server read it: `CONFIG SET tls-cert-file` with the file's name does so without a restart.")
}

pub(super) fn connections(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "connections";
    let limit = number(&facts.info, "maxclients").or_else(|| number(&facts.config, "maxclients"));
    let (Some(used), Some(limit)) = (number(&facts.info, "connected_clients"), limit) else {
        return Finding::not_in_info(CHECK, facts);
    };
    let seen = format!("{used} of {limit}");
    if used * 100 < limit * NEARLY_FULL_PERCENT {
        return Finding::ok(CHECK, seen);
    }
    Finding::warning(CHECK, format!("{seen} are open"))
        .means("Once all are taken, the server turns new clients away, and those that lost their connection with their leases.")
        .todo("Raise maxclients, or find out who opens so many (`CLIENT LIST`).")
}

pub(super) fn transport(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "network";
    match facts.transport {
        Transport::Tls => Finding::ok(CHECK, "TLS, the certificate verified"),
        Transport::UnverifiedTls => Finding::warning(CHECK, "TLS with whoever answers")
            .means("Whoever can get between has the password, and with it the locks: the certificate is not verified.")
            .todo("Trust the server's authority by tls_ca in place of tls_insecure_skip_verify."),
        Transport::Unix => Finding::ok(CHECK, "a socket of this machine"),
        Transport::Loopback => Finding::ok(CHECK, "within this machine"),
        Transport::Plain if facts.has_password => {
            Finding::warning(CHECK, "plain text to another machine, the password too")
                .means("Whoever can read that network has the password, and with it the locks.")
                .todo("Use TLS (rediss://…), unless nobody else is on that network.")
        }
        Transport::Plain => Finding::warning(CHECK, "plain text to another machine, no password")
            .means("Whoever can reach the server can take, break and forge locks.")
            .todo("Give the server a password and use TLS (rediss://…), unless nobody else is on that network."),
    }
}
