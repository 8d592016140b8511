//! Commands on keys, whatever they hold.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::{SYNTAX, integer};
use crate::server::glob;
use crate::server::instance::Server;
use crate::server::keyspace::Value;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn delete(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let mut count = 0;
    for key in words.from(1) {
        // One whose time is over does not count.
        if server.lookup(caller.database, key).is_some() {
            server.remove(caller.database, key);
            count += 1;
        }
    }
    Ok(Reply::Int(count))
}

pub(in crate::server) fn exists(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let keys = words.from(1);
    let there = keys.filter(|key| server.lookup(caller.database, key).is_some());
    Ok(Reply::count(there.count()))
}

pub(in crate::server) fn kind(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let entry = server.lookup(caller.database, &words[1]);
    Ok(Reply::status(
        entry.map_or("none", |entry| name(&entry.value)),
    ))
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::SortedSet(_) => "zset",
    }
}

pub(in crate::server) fn flush_all(server: &mut Server, _: Caller, words: &Words) -> Result {
    check_flush(words)?;
    server.flushed(0..server.databases.len());
    Ok(Reply::OK)
}

pub(in crate::server) fn flush_database(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    check_flush(words)?;
    server.flushed(caller.database..caller.database + 1);
    Ok(Reply::OK)
}

fn check_flush(words: &Words) -> std::result::Result<(), Refused> {
    match words.len() {
        1 => Ok(()),
        2 if words.is(1, "SYNC") || words.is(1, "ASYNC") => Ok(()),
        _ => Err(SYNTAX.into()),
    }
}

// ---- when they end

pub(in crate::server) fn expire(server: &mut Server, caller: Caller, words: &Words) -> Result {
    expire_at(server, caller, words, "expire", 1000, server.millis())
}

pub(in crate::server) fn expire_millis(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    expire_at(server, caller, words, "pexpire", 1, server.millis())
}

pub(in crate::server) fn expire_at_millis(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    expire_at(server, caller, words, "pexpireat", 1, 0)
}

fn expire_at(
    server: &mut Server,
    caller: Caller,
    words: &Words,
    command: &str,
    scale: i64,
    base: i64,
) -> Result {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for index in 3..words.len() {
        let flags = [
            ("NX", &mut nx),
            ("XX", &mut xx),
            ("GT", &mut gt),
            ("LT", &mut lt),
        ];
        let mut flags = flags.into_iter();
        let Some((_, flag)) = flags.find(|(name, _)| words.is(index, name)) else {
            let option = String::from_utf8_lossy(&words[index]);
            return Err(format!("ERR Unsupported option {option}").into());
        };
        *flag = true;
    }
    if nx && (xx || gt || lt) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    let given = integer(words, 2)?;
    let end = given.checked_mul(scale).and_then(|it| it.checked_add(base));
    let Some(end) = end else {
        return Err(format!("ERR invalid expire time in '{command}' command").into());
    };
    let (millis, key) = (server.millis(), &words[1]);
    let Some(entry) = server.lookup(caller.database, key) else {
        return Ok(Reply::Int(0));
    };
    let is_left = match entry.expires {
        None => xx || gt,
        Some(before) => nx || gt && end <= before || lt && end >= before,
    };
    if is_left {
        return Ok(Reply::Int(0));
    }
    if end <= millis {
        server.remove(caller.database, key);
    } else {
        entry.expires = Some(end);
        server.changed(caller.database, key);
    }
    Ok(Reply::Int(1))
}

pub(in crate::server) fn persist(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let entry = server.lookup(caller.database, &words[1]);
    let had_end = entry.is_some_and(|entry| entry.expires.take().is_some());
    if had_end {
        server.changed(caller.database, &words[1]);
    }
    Ok(Reply::Int(i64::from(had_end)))
}

pub(in crate::server) fn ttl(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let millis = server.millis();
    // Rounded to the nearest second.
    let rounded = |end: i64| ((end - millis).max(0) + 500) / 1000;
    Ok(left(server, caller, words, rounded))
}

pub(in crate::server) fn ttl_millis(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let millis = server.millis();
    Ok(left(server, caller, words, |end| (end - millis).max(0)))
}

pub(in crate::server) fn end_millis(server: &mut Server, caller: Caller, words: &Words) -> Result {
    Ok(left(server, caller, words, |end| end))
}

fn left(server: &mut Server, caller: Caller, words: &Words, of: impl FnOnce(i64) -> i64) -> Reply {
    Reply::Int(match server.lookup(caller.database, &words[1]) {
        None => -2,
        Some(entry) => entry.expires.map_or(-1, of),
    })
}

// ---- all of them

/// A cursor is a hash, and keys come in the order of theirs: whatever comes and goes meanwhile, a key that stays is found.
pub(in crate::server) fn scan(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let cursor: u64 = std::str::from_utf8(&words[1])
        .ok()
        .and_then(|cursor| cursor.parse().ok())
        .ok_or(Refused::from("ERR invalid cursor"))?;
    let (mut pattern, mut count, mut kind) = (None, 10, None);
    let mut at = 2;
    while at < words.len() {
        if at + 1 >= words.len() {
            return Err(SYNTAX.into());
        }
        if words.is(at, "MATCH") {
            pattern = words.get(at + 1);
        } else if words.is(at, "COUNT") {
            count = integer(words, at + 1)?;
            if count < 1 {
                return Err(SYNTAX.into());
            }
        } else if words.is(at, "TYPE") {
            kind = words.get(at + 1);
        } else {
            return Err(SYNTAX.into());
        }
        at += 2;
    }
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let keys = server.databases[caller.database].keys();
    let mut keys: Vec<(u64, Vec<u8>)> = keys
        .map(|key| (hasher.hash_one(key), key.clone()))
        .filter(|(hash, _)| *hash >= cursor)
        .collect();
    keys.sort_unstable();
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(keys.len());
    // Those of one hash stay together.
    let mut end = most;
    while end > 0 && end < keys.len() && keys[end].0 == keys[end - 1].0 {
        end += 1;
    }
    let next = keys.get(end).map_or(0, |(hash, _)| *hash);
    let mut found = Vec::new();
    for (_, key) in keys.drain(..end) {
        let matches = pattern.is_none_or(|pattern| glob::matches(pattern, &key));
        let Some(entry) = server.lookup(caller.database, &key) else {
            continue;
        };
        let its = name(&entry.value).as_bytes();
        if matches && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(its)) {
            found.push(Reply::Bulk(key));
        }
    }
    let next = Reply::bulk(next.to_string());
    Ok(Reply::Array(vec![next, Reply::Array(found)]))
}
