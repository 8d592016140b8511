//! Commands and replies of wire protocol 1, built and read here and nowhere else, with no I/O.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Pipeline, ServerError, Value};

use super::failure;
use super::keys::Keys;
use crate::error::Error;
use crate::store::{Ownership, Queued, Releaser};

/// A counter below this was not seeded from a clock (10^15 µs after the epoch is in 2001), so its count is no token.
const MIN_TOKEN: u64 = 1_000_000_000_000_000;

/// A Lua script and its hash.
struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(text: &str) -> Self {
        let text = text.replace(
            "--@include hand_over.lua",
            include_str!("scripts/hand_over.lua"),
        );
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    fn call(&self, by: By, keys: &[&str]) -> Cmd {
        let mut cmd = Cmd::new();
        match by {
            By::Hash => cmd.arg("EVALSHA").arg(&self.hash),
            By::Text => cmd.arg("EVAL").arg(&self.text),
        };
        cmd.arg(keys.len()).arg(keys);
        cmd
    }
}

static WAIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/wait.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/renew.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));

/// How a script is named: by its hash, or by its text where the server does not know the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Hash,
    Text,
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
pub(super) fn take(keys: &Keys, owner: &str, ttl: Duration) -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.cmd("MULTI");
    pipeline
        .cmd("SET")
        .arg(&keys.lock)
        .arg(owner)
        .arg("NX")
        .arg("PX")
        .arg(millis(ttl));
    pipeline.cmd("INCR").arg(&keys.fence);
    pipeline.cmd("EXEC");
    pipeline
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
    Acquired(u64),
    Held(Queued),
    /// Many dead waiters were passed over: ask again.
    More,
}

/// The `wait` script; `queue` is the place already held, or zero, when it is to queue.
pub(super) fn wait(
    by: By,
    keys: &Keys,
    owner: &str,
    ttl: Duration,
    client_id: &str,
    queue: Option<u64>,
) -> Pipeline {
    let mut cmd = WAIT.call(by, &[&keys.lock, &keys.queue, &keys.fence]);
    cmd.arg(owner).arg(millis(ttl)).arg(client_id);
    match queue {
        Some(0) => cmd.arg("").arg("1"),
        Some(place) => cmd.arg(place).arg("1"),
        None => cmd.arg("").arg("0"),
    };
    single(cmd)
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
        [Value::Int(1), Value::Int(token)] if *token > 0 => Waited::Acquired(token.unsigned_abs()),
        [
            Value::Int(0),
            Value::Int(pttl),
            Value::Int(place),
            Value::Int(head),
            Value::Int(waiters),
        ] => Waited::Held(Queued {
            expires_in: expiry(*pttl),
            place: u64::try_from(*place).unwrap_or(0),
            head: *head == 1,
            waiters: u64::try_from(*waiters).unwrap_or(0),
        }),
        [Value::Int(2)] => Waited::More,
        _ => return Answer::Err(failure::unexpected("wait", replies)),
    })
}

// ---- renew

/// The `renew` script for many leases, one command each.
pub(super) fn renew<'a>(
    by: By,
    renewals: impl Iterator<Item = (&'a str, &'a str, Duration)>,
) -> Pipeline {
    let mut pipeline = redis::pipe();
    for (lock, owner, ttl) in renewals {
        let mut cmd = RENEW.call(by, &[lock]);
        cmd.arg(owner).arg(millis(ttl));
        pipeline.add_command(cmd);
    }
    pipeline
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

/// The `release` script.
pub(super) fn release(by: By, keys: &Keys, releaser: &Releaser, client_id: &str) -> Pipeline {
    let mut cmd = RELEASE.call(by, &[&keys.lock, &keys.queue]);
    match releaser {
        Releaser::Own(owner) => cmd.arg(&**owner).arg(client_id).arg("0"),
        Releaser::ByHand(owner) => cmd.arg(&**owner).arg("").arg("0"),
        Releaser::Forced => cmd.arg("").arg("").arg("1"),
    };
    single(cmd)
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

// ---- inspect and list

/// Holder, time left and waiters of several locks: three commands each.
pub(super) fn inspect<'a>(keys: impl Iterator<Item = &'a Keys>) -> Pipeline {
    let mut pipeline = redis::pipe();
    for keys in keys {
        pipeline.cmd("GET").arg(&keys.lock);
        pipeline.cmd("PTTL").arg(&keys.lock);
        pipeline.cmd("ZCARD").arg(&keys.queue);
    }
    pipeline
}

/// What [`inspect`] says of one lock.
pub(super) struct Inspected {
    pub(super) owner: String,
    pub(super) expires_in: Option<Duration>,
    pub(super) waiters: u64,
}

/// Reads the three replies for one lock; `None` when nobody holds it.
pub(super) fn inspected(replies: &[Value]) -> Result<Option<Inspected>, Error> {
    for reply in replies {
        if let Value::ServerError(error) = reply {
            return Err(failure::from_server(error));
        }
    }
    match replies {
        [Value::Nil, ..] | [_, Value::Int(-2), _] => Ok(None),
        [
            Value::BulkString(owner),
            Value::Int(pttl),
            Value::Int(waiters),
        ] => Ok(Some(Inspected {
            owner: String::from_utf8_lossy(owner).into_owned(),
            expires_in: expiry(*pttl),
            waiters: u64::try_from(*waiters).unwrap_or(0),
        })),
        _ => Err(failure::unexpected("inspect", replies)),
    }
}

/// One step of a `SCAN`.
pub(super) fn scan(cursor: u64, pattern: &str) -> Pipeline {
    let mut cmd = Cmd::new();
    cmd.arg("SCAN")
        .arg(cursor)
        .arg("MATCH")
        .arg(pattern)
        .arg("COUNT")
        .arg(500);
    single(cmd)
}

/// Reads the reply to a [`scan`]: the next cursor (zero at the end) and the keys, those that are text.
pub(super) fn scanned(replies: &[Value]) -> Result<(u64, Vec<String>), Error> {
    let unexpected = || failure::unexpected("scan", replies);
    match replies {
        [Value::ServerError(error)] => Err(failure::from_server(error)),
        [Value::Array(parts)] => match parts.as_slice() {
            [Value::BulkString(cursor), Value::Array(keys)] => {
                let cursor = std::str::from_utf8(cursor)
                    .ok()
                    .and_then(|cursor| cursor.parse().ok())
                    .ok_or_else(unexpected)?;
                let keys = keys
                    .iter()
                    .filter_map(|key| match key {
                        Value::BulkString(key) => String::from_utf8(key.clone()).ok(),
                        _ => None,
                    })
                    .collect();
                Ok((cursor, keys))
            }
            _ => Err(unexpected()),
        },
        _ => Err(unexpected()),
    }
}

// ---- inbox

/// A message to a client's inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Granted {
        lock: &'a str,
        owner: &'a str,
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
    let owner = lines.next()?;
    match kind {
        "grant" => Some(Message::Granted { lock, owner }),
        "next" => Some(Message::Next {
            owner,
            expires_in: expiry(lines.next()?.parse().ok()?),
        }),
        _ => None,
    }
}

// ---- shared

fn single(cmd: Cmd) -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.add_command(cmd);
    pipeline
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
