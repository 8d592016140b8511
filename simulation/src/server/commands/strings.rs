//! Commands on texts.

use super::{NOT_AN_INTEGER, SYNTAX, integer};
use crate::server::instance::Server;
use crate::server::keyspace::{Entry, Value};
use crate::server::numbers;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn get(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let text = server.text(caller.database, &words[1])?;
    Ok(Reply::optional(text.map(|text| text.as_slice())))
}

/// How SET is asked to set.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // as it is asked
struct Options {
    only_new: bool,
    only_there: bool,
    keeps_end: bool,
    gets: bool,
    /// The word that says when it ends, in ms.
    end: Option<usize>,
    is_in_seconds: bool,
    is_absolute: bool,
}

impl Options {
    fn read(words: &Words) -> std::result::Result<Self, Refused> {
        let mut options = Self::default();
        let mut at = 3;
        while at < words.len() {
            let has_end = options.end.is_some() || options.keeps_end;
            if words.is(at, "NX") && !options.only_there {
                options.only_new = true;
            } else if words.is(at, "XX") && !options.only_new {
                options.only_there = true;
            } else if words.is(at, "GET") {
                options.gets = true;
            } else if words.is(at, "KEEPTTL") && options.end.is_none() {
                options.keeps_end = true;
            } else if !has_end && at + 1 < words.len() {
                let kinds = [
                    ("EX", true, false),
                    ("PX", false, false),
                    ("EXAT", true, true),
                    ("PXAT", false, true),
                ];
                let kind = kinds.iter().find(|(name, ..)| words.is(at, name));
                let Some((_, is_in_seconds, is_absolute)) = kind else {
                    return Err(SYNTAX.into());
                };
                options.is_in_seconds = *is_in_seconds;
                options.is_absolute = *is_absolute;
                options.end = Some(at + 1);
                at += 1;
            } else {
                return Err(SYNTAX.into());
            }
            at += 1;
        }
        Ok(options)
    }

    /// When it ends, in ms.
    fn end(&self, words: &Words, millis: i64) -> std::result::Result<Option<i64>, Refused> {
        let Some(at) = self.end else {
            return Ok(None);
        };
        let given = integer(words, at)?;
        let scale = if self.is_in_seconds { 1000 } else { 1 };
        let base = if self.is_absolute { 0 } else { millis };
        let end = given.checked_mul(scale).filter(|_| given > 0);
        match end.and_then(|end| end.checked_add(base)) {
            Some(end) => Ok(Some(end)),
            None => Err("ERR invalid expire time in 'set' command".into()),
        }
    }
}

pub(in crate::server) fn set(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let options = Options::read(words)?;
    let end = options.end(words, server.millis())?;
    let (database, key) = (caller.database, &words[1]);
    let before = if options.gets {
        let text = server.text(database, key)?;
        Some(Reply::optional(text.map(|text| text.as_slice())))
    } else {
        None
    };
    let there = server.lookup(database, key);
    if options.only_new && there.is_some() || options.only_there && there.is_none() {
        return Ok(before.unwrap_or(Reply::Null));
    }
    let kept = if options.keeps_end {
        there.and_then(|entry| entry.expires)
    } else {
        end
    };
    let entry = Entry {
        value: Value::Text(words[2].to_vec()),
        expires: kept,
    };
    server.put(database, key, entry);
    Ok(before.unwrap_or(Reply::OK))
}

pub(in crate::server) fn increment(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let (database, key) = (caller.database, &words[1]);
    let Some(text) = server.text(database, key)? else {
        let entry = Entry {
            value: Value::Text(b"1".to_vec()),
            expires: None,
        };
        server.put(database, key, entry);
        return Ok(Reply::Int(1));
    };
    let Some(number) = numbers::integer(text) else {
        return Err(NOT_AN_INTEGER.into());
    };
    let Some(next) = number.checked_add(1) else {
        return Err("ERR increment or decrement would overflow".into());
    };
    *text = next.to_string().into_bytes();
    server.changed(database, key);
    Ok(Reply::Int(next))
}
