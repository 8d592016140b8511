//! Commands and replies of wire protocol 1, built and read here and nowhere else, with no I/O.

mod looking;
mod packed;

use std::sync::LazyLock;
use std::time::Duration;

use redis::{ServerError, Value};

pub(super) use self::looking::{
    HeldBy, Inspected, Sharing, held_by, holder, holders, inspect, inspected, met, scan, scanned,
    shared_by, sharing,
};
use self::packed::Script;
pub(super) use self::packed::{By, Packed};
use super::failure;
use super::keys::{Keys, Prefix};
use super::tracking::Arming;
use crate::claim::Claim;
use crate::error::Error;
use crate::store::{Grant, Ownership, Queued, Queueing, Releaser, Renewal};

/// A counter below this was not seeded from a clock (10^15 µs after the epoch is in 2001), so its count is no token.
const MIN_TOKEN: u64 = 1_000_000_000_000_000;

static WAIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/wait.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/renew.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));
static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/keep.lua")));

/// Makes the scripts ready. Left to the first use, a fork meanwhile would have its child wait for a thread that it does not
/// have.
pub(super) fn prepare() {
    for script in [&WAIT, &RENEW, &RELEASE, &KEEP] {
        LazyLock::force(script);
    }
}

/// What the server answered to one command, or why that is no use.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Ok(T),
    /// The server does not know the script: send it [`By::Text`].
    NoScript,
    Err(Error),
}

/// Milliseconds as the server counts them.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// ---- take

/// `MULTI; SET NX PX; INCR; EXEC`: one write, four replies.
pub(super) fn take(out: &mut Packed, keys: &Keys, owner: &str, ttl: Duration) {
    out.words(&["MULTI"]);
    out.command(6);
    out.arg("SET");
    out.arg(keys.lock());
    out.arg(owner);
    out.arg("NX");
    out.arg("PX");
    out.number(millis(ttl));
    out.words(&["INCR", &keys.fence]);
    out.words(&["EXEC"]);
}

/// What a take came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    Acquired(u64),
    Held,
    /// Taken, but the counter had lost its seed: the token must come from a claim.
    Unseeded,
}

/// Reads the four replies to a [`take`].
pub(super) fn took(replies: &[Value]) -> Result<Took, Error> {
    // The first refusal names the cause; EXEC only says that it was aborted.
    for reply in replies {
        if let Value::ServerError(error) = reply {
            return Err(failure::from_server(error));
        }
    }
    match replies {
        [_, _, _, Value::Array(results)] => match results.as_slice() {
            [Value::ServerError(error), _] | [_, Value::ServerError(error)] => {
                Err(failure::from_server(error))
            }
            [Value::Nil, Value::Int(_)] => Ok(Took::Held),
            [Value::Okay, Value::Int(count)] => match u64::try_from(*count) {
                Ok(count) if count >= MIN_TOKEN => Ok(Took::Acquired(count)),
                _ => Ok(Took::Unseeded),
            },
            _ => Err(failure::unexpected("take", replies)),
        },
        _ => Err(failure::unexpected("take", replies)),
    }
}

// ---- wait

/// What a wait came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waited {
    /// The token; and whether the place that was named was gone.
    Acquired(u64, bool),
    Held(Queued),
    /// Many dead waiters were passed over: ask again.
    More,
}

/// The `wait` script; `queue`: how it is to queue.
pub(super) fn wait(
    out: &mut Packed,
    by: By,
    keys: &Keys,
    claim: &Claim,
    ttl: Duration,
    client_id: &str,
    queue: Option<Queueing>,
) {
    let is_exclusive = claim.limit.is_exclusive();
    let further = if is_exclusive { 6 } else { 7 };
    let keys = [keys.lock(), &keys.queue, &keys.fence];
    WAIT.call(out, by, &keys, further);
    out.arg(&claim.owner);
    out.number(millis(ttl));
    out.arg(client_id);
    match queue.and_then(|queue| queue.place) {
        None => out.arg(""),
        Some(place) => out.number(place),
    }
    out.arg(if queue.is_some() { "1" } else { "0" });
    out.arg(if queue.is_some_and(|queue| queue.may_cut) {
        "1"
    } else {
        ""
    });
    if !is_exclusive {
        out.number(claim.limit.number().into());
    }
}

/// Reads the reply to a [`wait`].
pub(super) fn waited(replies: &[Value]) -> Answer<Waited> {
    let reply = match only(replies) {
        Answer::Ok(reply) => reply,
        Answer::NoScript => return Answer::NoScript,
        Answer::Err(error) => return Answer::Err(error),
    };
    let Value::Array(parts) = reply else {
        return Answer::Err(failure::unexpected("wait", replies));
    };
    Answer::Ok(match parts.as_slice() {
        [Value::Int(1), Value::Int(token), Value::Int(lost)] if *token > 0 => {
            Waited::Acquired(token.unsigned_abs(), *lost == 1)
        }
        [
            Value::Int(0),
            Value::Int(pttl),
            Value::Int(place),
            Value::Int(head),
            Value::Int(waiters),
            Value::Int(counted),
            Value::Int(lost),
        ] => Waited::Held(Queued {
            expires_in: expiry(*pttl),
            place: u64::try_from(*place).unwrap_or(0),
            head: head & 1 != 0,
            is_holder_foreign: head & 2 != 0,
            waiters: u64::try_from(*waiters).unwrap_or(0),
            counted: u64::try_from(*counted).unwrap_or(u64::MAX),
            lost_place: *lost == 1,
            look_again: None,
        }),
        [Value::Int(2)] => Waited::More,
        _ => return Answer::Err(failure::unexpected("wait", replies)),
    })
}

// ---- renew

/// The keys of a renewal.
pub(super) struct RenewalKeys {
    pub(super) lock: String,
    /// Of a lease that others may share.
    pub(super) holders: Option<String>,
}

impl RenewalKeys {
    pub(super) fn new(prefix: &Prefix, renewal: &Renewal) -> Self {
        let Claim { lock, limit, .. } = &*renewal.claim;
        Self {
            lock: prefix.lock_key(lock),
            holders: (!limit.is_exclusive()).then(|| Keys::new(prefix, lock).holders()),
        }
    }
}

/// The `renew` script for many leases, one command each, whose lock is watched from then on.
pub(super) fn renew<'a>(
    out: &mut Packed,
    by: By,
    arming: Arming,
    renewals: impl Iterator<Item = (&'a RenewalKeys, &'a Renewal)>,
) {
    arming.begin(out);
    for (RenewalKeys { lock, holders }, renewal) in renewals {
        arming.before_each(out);
        match holders {
            None => RENEW.call(out, by, &[lock], 3),
            Some(holders) => RENEW.call(out, by, &[lock, holders], 3),
        }
        out.arg(&renewal.claim.owner);
        out.number(millis(renewal.ttl));
        out.arg(if renewal.may_shorten { "1" } else { "" });
    }
}

/// Reads one reply to a [`renew`].
pub(super) fn renewed(reply: &Value) -> Answer<Ownership> {
    match reply {
        Value::ServerError(error) => refused(error),
        Value::Int(status) => Answer::Ok(ownership(*status)),
        other => Answer::Err(failure::unexpected("renew", std::slice::from_ref(other))),
    }
}

// ---- release

/// The `release` script, or where it is one for later, `keep`.
pub(super) fn release(out: &mut Packed, by: By, keys: &Keys, releaser: &Releaser, client_id: &str) {
    let keys = [keys.lock(), &keys.queue, &keys.fence];
    match releaser {
        Releaser::Own(claim) if claim.limit.is_exclusive() => {
            RELEASE.call(out, by, &keys, 2);
            out.arg(&claim.owner);
            out.arg(client_id);
        }
        Releaser::Own(claim) => {
            RELEASE.call(out, by, &keys, 3);
            out.arg(&claim.owner);
            out.arg(client_id);
            out.number(claim.limit.number().into());
        }
        Releaser::Later(claim, after) => {
            KEEP.call(out, by, &keys, 2);
            out.arg(&claim.owner);
            out.number(millis(*after));
        }
        Releaser::ByHand(_, owners) => {
            let (first, others): (&[u8], _) = match owners.split_first() {
                Some((first, others)) => (first, others),
                None => (&[], &owners[..]),
            };
            let further = if others.is_empty() {
                2
            } else {
                3 + others.len()
            };
            RELEASE.call(out, by, &keys, further);
            out.bytes(first);
            out.arg("");
            if !others.is_empty() {
                // No queue entry is touched, whatever it asked with.
                out.arg("");
            }
            for owner in others {
                out.bytes(owner);
            }
        }
    }
}

/// Reads the reply to a [`release`]: whose it was, and whether to ask again.
pub(super) fn released(replies: &[Value]) -> Answer<(Ownership, bool)> {
    match only(replies) {
        Answer::Ok(Value::Int(status)) => Answer::Ok((ownership(*status), false)),
        Answer::Ok(Value::Array(parts)) => match parts.as_slice() {
            [Value::Int(status), Value::Int(more)] => Answer::Ok((ownership(*status), *more == 1)),
            _ => Answer::Err(failure::unexpected("release", replies)),
        },
        Answer::Ok(_) => Answer::Err(failure::unexpected("release", replies)),
        Answer::NoScript => Answer::NoScript,
        Answer::Err(error) => Answer::Err(error),
    }
}

/// Looks whether a lock is held.
pub(super) fn is_held(out: &mut Packed, lock: &str) {
    out.words(&["EXISTS", lock]);
}

// ---- tracking

/// Has the server tell this connection of changes by others to keys that are watched.
pub(super) fn track(out: &mut Packed) {
    out.words(&["CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"]);
}

/// Has what the next command reads watched, until it changes for the first time.
pub(super) fn watch_next(out: &mut Packed) {
    out.words(&["CLIENT", "CACHING", "YES"]);
}

/// What has changed, of what was watched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed<'a> {
    Keys(Vec<&'a str>),
    /// Everything: the server was flushed.
    All,
}

/// Reads a push of the kind that tells of changes; `None` when it is of another.
pub(super) fn changed(push: &[Value]) -> Option<Changed<'_>> {
    let [Value::BulkString(kind), what] = push else {
        return None;
    };
    match what {
        _ if kind != b"invalidate" => None,
        Value::Nil => Some(Changed::All),
        Value::Array(keys) => Some(Changed::Keys(keys.iter().filter_map(text).collect())),
        _ => None,
    }
}

// ---- inbox

/// The channel of which a push says that the server has taken back the subscription to it.
pub(super) fn unsubscribed(push: &[Value]) -> Option<&str> {
    match push {
        [Value::BulkString(kind), channel, _] if kind == b"sunsubscribe" => text(channel),
        _ => None,
    }
}

/// A message to a client's inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Granted {
        lock: &'a str,
        owner: &'a str,
        grant: Option<Grant>,
    },
    Next {
        owner: &'a str,
        expires_in: Option<Duration>,
    },
}

/// Reads a message; `None` when it is of another wire version, or none of ours.
pub(super) fn message(payload: &str) -> Option<Message<'_>> {
    let mut lines = payload.split('\n');
    if lines.next()? != "1" {
        return None;
    }
    let kind = lines.next()?;
    let lock = lines.next()?;
    // An empty owner would be anybody's.
    let owner = lines.next().filter(|owner| !owner.is_empty())?;
    match kind {
        "grant" => Some(Message::Granted {
            lock,
            owner,
            grant: grant(lines),
        }),
        "next" => Some(Message::Next {
            owner,
            expires_in: expiry(lines.next()?.parse().ok()?),
        }),
        _ => None,
    }
}

/// Token and window; a message without them is only to be claimed.
fn grant<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Grant> {
    let token = lines.next()?.parse().ok()?;
    let window = expiry(lines.next()?.parse().ok()?)?;
    (token >= MIN_TOKEN).then_some(Grant { token, window })
}

// ---- shared

/// A text field of a map, or of a list of names and values.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Map(pairs) => {
            let mut pairs = pairs.iter();
            pairs.find_map(|(key, value)| text(value).filter(|_| text(key) == Some(name)))
        }
        Value::Array(parts) => {
            let mut pairs = parts.chunks_exact(2);
            pairs.find_map(|pair| text(&pair[1]).filter(|_| text(&pair[0]) == Some(name)))
        }
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

fn only(replies: &[Value]) -> Answer<&Value> {
    match replies {
        [Value::ServerError(error)] => refused(error),
        [reply] => Answer::Ok(reply),
        _ => Answer::Err(failure::unexpected("script", replies)),
    }
}

fn refused<T>(error: &ServerError) -> Answer<T> {
    if error.code() == "NOSCRIPT" {
        Answer::NoScript
    } else {
        Answer::Err(failure::from_server(error))
    }
}

fn ownership(status: i64) -> Ownership {
    match status {
        1 => Ownership::Mine,
        2 => Ownership::MineForLonger,
        0 => Ownership::Nobody,
        _ => Ownership::Other,
    }
}

/// A PTTL: −1 is "no expiry", −2 "no key".
fn expiry(pttl: i64) -> Option<Duration> {
    match pttl {
        -1 => None,
        pttl => Some(Duration::from_millis(u64::try_from(pttl).unwrap_or(0))),
    }
}
