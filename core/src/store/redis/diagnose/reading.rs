//! What a server's replies say, or what it says instead.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use redis::Value;

use crate::diagnosis::{ClockOffset, Look, Refusal, SlowCommand};
use crate::store::redis::failure;

/// The refusal that a reply is, if it is one.
pub(in crate::store::redis) fn refusal(reply: &Value) -> Option<Refusal> {
    let Value::ServerError(error) = reply else {
        return None;
    };
    Some(Refusal {
        code: error.code().to_owned(),
        words: failure::words_of(error),
    })
}

/// What `read` makes of a reply, or the refusal that the reply is.
pub(super) fn look<T>(reply: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Look<T> {
    match refusal(reply) {
        Some(refusal) => Err(refusal),
        None => read(reply).ok_or_else(|| Refusal {
            code: String::new(),
            words: "it gave an answer that makes no sense".to_owned(),
        }),
    }
}

/// A text or a number, as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

/// The fields of a map, or of a list of names and values, those whose value is text.
pub(super) fn fields(value: &Value) -> Option<BTreeMap<String, String>> {
    let pair = |(name, value)| Some((text(name)?, text(value)?));
    match value {
        Value::Map(pairs) => Some(pairs.iter().map(|(k, v)| (k, v)).filter_map(pair).collect()),
        Value::Array(parts) => Some(
            parts
                .chunks_exact(2)
                .map(|two| (&two[0], &two[1]))
                .filter_map(pair)
                .collect(),
        ),
        _ => None,
    }
}

/// The lines `name:value` of INFO and its like.
pub(super) fn lines(value: &Value) -> Option<BTreeMap<String, String>> {
    let info = text(value)?;
    let lines = info.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()));
    Some(pairs.collect())
}

/// Reads entries of the slow log: number, time in seconds, duration in µs, command, and more. Arguments are not kept.
pub(super) fn slow_commands(value: &Value) -> Option<Vec<SlowCommand>> {
    let Value::Array(entries) = value else {
        return None;
    };
    let read = |entry: &Value| {
        let Value::Array(parts) = entry else {
            return None;
        };
        let [_, Value::Int(at), Value::Int(took), Value::Array(words), ..] = parts.as_slice()
        else {
            return None;
        };
        Some(SlowCommand {
            command: text(words.first()?)?.to_ascii_uppercase(),
            at: SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(u64::try_from(*at).ok()?))?,
            took: Duration::from_micros(u64::try_from(*took).ok()?),
        })
    };
    entries.iter().map(read).collect()
}

/// The server's clock beside ours: it was read about the middle of the round trip.
pub(super) fn clock_offset(
    value: &Value,
    sent_at: SystemTime,
    took: Duration,
) -> Option<ClockOffset> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [seconds, micros] = parts.as_slice() else {
        return None;
    };
    let seconds = Duration::from_secs(text(seconds)?.parse().ok()?);
    let micros = Duration::from_micros(text(micros)?.parse().ok()?);
    let theirs = SystemTime::UNIX_EPOCH.checked_add(seconds.checked_add(micros)?)?;
    let ours = sent_at + took / 2;
    let (ahead, offset) = match theirs.duration_since(ours) {
        Ok(offset) => (true, offset),
        Err(behind) => (false, behind.duration()),
    };
    Some(ClockOffset {
        offset,
        ahead,
        within: took / 2,
    })
}
