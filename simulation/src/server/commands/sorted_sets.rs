//! Commands on sorted sets.

use std::ops::Range;

use super::{SYNTAX, integer};
use crate::server::instance::Server;
use crate::server::keyspace::{Entry, Value};
use crate::server::numbers;
use crate::server::reply::{Refused, Reply, Resp};
use crate::server::sorted_set::SortedSet;
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn add(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let (mut nx, mut xx, mut gt, mut lt, mut ch, mut incr) =
        (false, false, false, false, false, false);
    let mut at = 2;
    while at < words.len() {
        let flags = [
            ("NX", &mut nx),
            ("XX", &mut xx),
            ("GT", &mut gt),
            ("LT", &mut lt),
            ("CH", &mut ch),
            ("INCR", &mut incr),
        ];
        let mut flags = flags.into_iter();
        let Some((_, flag)) = flags.find(|(name, _)| words.is(at, name)) else {
            break;
        };
        *flag = true;
        at += 1;
    }
    let left = words.len() - at;
    if left == 0 || left % 2 == 1 {
        return Err(SYNTAX.into());
    }
    if nx && xx {
        return Err("ERR XX and NX options at the same time are not compatible".into());
    }
    if nx && (gt || lt) || gt && lt {
        return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
    }
    if incr && left > 2 {
        return Err("ERR INCR option supports a single increment-element pair".into());
    }
    let scores = (at..words.len()).step_by(2).map(|at| score_of(&words[at]));
    let scores: Vec<f64> = scores.collect::<std::result::Result<_, _>>()?;
    let (database, key) = (caller.database, &words[1]);
    if server.sorted_set(database, key)?.is_none() {
        let reply = if incr { Reply::Null } else { Reply::Int(0) };
        if xx {
            return Ok(reply);
        }
    }
    let mut created = SortedSet::default();
    let there = server.sorted_set(database, key)?;
    let is_new = there.is_none();
    let set = there.unwrap_or(&mut created);
    let (mut added, mut updated, mut last) = (0, 0, None);
    for (index, score) in scores.into_iter().enumerate() {
        let member = &words[at + 2 * index + 1];
        match set.score(member) {
            None if xx => {}
            None => {
                set.insert(score, member.to_vec());
                added += 1;
                last = Some(score);
            }
            Some(_) if nx => {}
            Some(before) => {
                let score = if incr { before + score } else { score };
                if score.is_nan() {
                    return Err("ERR resulting score is not a number (NaN)".into());
                }
                if lt && score >= before || gt && score <= before {
                    continue;
                }
                last = Some(score);
                #[allow(clippy::float_cmp)] // nothing changes
                if score != before {
                    set.remove(member);
                    set.insert(score, member.to_vec());
                    updated += 1;
                }
            }
        }
    }
    if added + updated > 0 {
        if is_new {
            let entry = Entry {
                value: Value::SortedSet(created),
                expires: None,
            };
            server.put(database, key, entry);
        } else {
            server.changed(database, key);
        }
    }
    Ok(if incr {
        last.map_or(Reply::Null, Reply::Double)
    } else {
        Reply::Int(if ch { added + updated } else { added })
    })
}

fn score_of(word: &[u8]) -> std::result::Result<f64, Refused> {
    numbers::float(word).ok_or_else(|| "ERR value is not a valid float".into())
}

pub(in crate::server) fn remove(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let (database, key) = (caller.database, &words[1]);
    let Some(set) = server.sorted_set(database, key)? else {
        return Ok(Reply::Int(0));
    };
    let removed = words.from(2).filter(|member| set.remove(member)).count();
    if removed > 0 {
        server.sorted_set_changed(database, key);
    }
    Ok(Reply::count(removed))
}

pub(in crate::server) fn count(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let set = server.sorted_set(caller.database, &words[1])?;
    Ok(Reply::count(set.map_or(0, |set| set.len())))
}

pub(in crate::server) fn score(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let set = server.sorted_set(caller.database, &words[1])?;
    let score = set.and_then(|set| set.score(&words[2]));
    Ok(score.map_or(Reply::Null, Reply::Double))
}

pub(in crate::server) fn rank(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let set = server.sorted_set(caller.database, &words[1])?;
    let rank = set.and_then(|set| set.rank(&words[2]));
    Ok(rank.map_or(Reply::Null, Reply::count))
}

// ---- ranges

/// What a range is asked for with, and how.
#[derive(Default)]
struct Asked {
    by_score: bool,
    reversed: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

pub(in crate::server) fn range(server: &mut Server, caller: Caller, words: &Words) -> Result {
    ranged(server, caller, words, Asked::default(), true)
}

pub(in crate::server) fn reversed_range(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    let asked = Asked {
        reversed: true,
        ..Asked::default()
    };
    ranged(server, caller, words, asked, false)
}

pub(in crate::server) fn range_by_score(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    let asked = Asked {
        by_score: true,
        ..Asked::default()
    };
    ranged(server, caller, words, asked, false)
}

fn ranged(
    server: &mut Server,
    caller: Caller,
    words: &Words,
    mut asked: Asked,
    is_free: bool,
) -> Result {
    let mut at = 4;
    while at < words.len() {
        if words.is(at, "WITHSCORES") {
            asked.with_scores = true;
        } else if words.is(at, "LIMIT") && at + 2 < words.len() {
            asked.limit = Some((integer(words, at + 1)?, integer(words, at + 2)?));
            at += 2;
        } else if is_free && words.is(at, "REV") {
            asked.reversed = true;
        } else if is_free && words.is(at, "BYSCORE") {
            asked.by_score = true;
        } else {
            return Err(SYNTAX.into());
        }
        at += 1;
    }
    if asked.limit.is_some_and(|limit| limit != (0, -1)) && !asked.by_score {
        return Err(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
                .into(),
        );
    }
    let (first, last) = if asked.by_score {
        let (low, high) = if asked.reversed { (3, 2) } else { (2, 3) };
        let bounds = (bound(&words[low])?, bound(&words[high])?);
        let Some(set) = server.sorted_set(caller.database, &words[1])? else {
            return Ok(Reply::Array(Vec::new()));
        };
        let ranks = scored(set, bounds);
        return Ok(shown(set, ranks, &asked, caller.resp));
    } else {
        (integer(words, 2)?, integer(words, 3)?)
    };
    let Some(set) = server.sorted_set(caller.database, &words[1])? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let ranks = ranks(set.len(), first, last);
    let ranks = if asked.reversed {
        set.len() - ranks.end..set.len() - ranks.start
    } else {
        ranks
    };
    Ok(shown(set, ranks, &asked, caller.resp))
}

/// Ranks from the first to the last, which count from the end where they are negative.
fn ranks(length: usize, first: i64, last: i64) -> Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |rank: i64| if rank < 0 { rank + length } else { rank };
    let (first, last) = (from_end(first).max(0), from_end(last).min(length - 1));
    if first > last {
        return 0..0;
    }
    let rank = |rank: i64| usize::try_from(rank).unwrap_or(0);
    rank(first)..rank(last) + 1
}

/// An end of a range of scores, and whether the end is in it.
fn bound(word: &[u8]) -> std::result::Result<(f64, bool), Refused> {
    let (word, is_in) = match word.strip_prefix(b"(") {
        Some(rest) => (rest, false),
        None => (word, true),
    };
    let score = numbers::float(word).ok_or(Refused::from("ERR min or max is not a float"))?;
    Ok((score, is_in))
}

/// The ranks of those whose score is in a range.
fn scored(set: &SortedSet, (low, high): ((f64, bool), (f64, bool))) -> Range<usize> {
    let entries = set.entries();
    let below = |(score, _): &(f64, Vec<u8>)| *score < low.0 || *score <= low.0 && !low.1;
    let within = |(score, _): &(f64, Vec<u8>)| *score < high.0 || *score <= high.0 && high.1;
    let first = entries.partition_point(below);
    let end = entries.partition_point(within);
    first..end.max(first)
}

fn shown(set: &SortedSet, ranks: Range<usize>, asked: &Asked, resp: Resp) -> Reply {
    let entries = &set.entries()[ranks];
    let (skipped, most) = match asked.limit {
        None => (0, usize::MAX),
        Some((offset, count)) => (
            usize::try_from(offset).unwrap_or(usize::MAX),
            usize::try_from(count).unwrap_or(usize::MAX),
        ),
    };
    let entry = |index: usize| {
        &entries[if asked.reversed {
            entries.len() - 1 - index
        } else {
            index
        }]
    };
    let indices = (0..entries.len()).skip(skipped).take(most);
    if asked.with_scores {
        scored_entries(indices.map(entry), resp)
    } else {
        Reply::Array(
            indices
                .map(|it| Reply::bulk(entry(it).1.as_slice()))
                .collect(),
        )
    }
}

/// Members and scores: pairs in RESP3, one behind the other in RESP2.
fn scored_entries<'a>(entries: impl Iterator<Item = &'a (f64, Vec<u8>)>, resp: Resp) -> Reply {
    let pair =
        |(score, member): &(f64, Vec<u8>)| [Reply::bulk(member.as_slice()), Reply::Double(*score)];
    let pairs = entries.map(pair);
    Reply::Array(match resp {
        Resp::Two => pairs.flatten().collect(),
        Resp::Three => pairs.map(|pair| Reply::Array(pair.into())).collect(),
    })
}

pub(in crate::server) fn remove_by_score(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    let bounds = (bound(&words[2])?, bound(&words[3])?);
    let (database, key) = (caller.database, &words[1]);
    let Some(set) = server.sorted_set(database, key)? else {
        return Ok(Reply::Int(0));
    };
    let ranks = scored(set, bounds);
    let removed = set.remove_ranks(ranks);
    if removed > 0 {
        server.sorted_set_changed(database, key);
    }
    Ok(Reply::count(removed))
}

// ---- some of them

pub(in crate::server) fn pop_first(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let count = match words.len() {
        2 => None,
        3 => Some(usize::try_from(integer_of(&words[2])?).map_err(|_| not_positive())?),
        _ => return Err(SYNTAX.into()),
    };
    let (database, key) = (caller.database, &words[1]);
    let Some(set) = server.sorted_set(database, key)? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let popped = set.pop_first(count.unwrap_or(1));
    if !popped.is_empty() {
        server.sorted_set_changed(database, key);
    }
    // A single one is never a pair of its own.
    let resp = if count.is_some() {
        caller.resp
    } else {
        Resp::Two
    };
    Ok(scored_entries(popped.iter(), resp))
}

fn integer_of(word: &[u8]) -> std::result::Result<i64, Refused> {
    numbers::integer(word).ok_or_else(not_positive)
}

fn not_positive() -> Refused {
    "ERR value is out of range, must be positive".into()
}

pub(in crate::server) fn random(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let with_scores = match words.len() {
        2 | 3 => false,
        4 if words.is(3, "WITHSCORES") => true,
        _ => return Err(SYNTAX.into()),
    };
    let (database, key) = (caller.database, &words[1]);
    let asked = match words.len() {
        2 => None,
        _ => Some(integer(words, 2)?),
    };
    let length = server.sorted_set(database, key)?.map_or(0, |set| set.len());
    if length == 0 {
        return Ok(asked.map_or(Reply::Null, |_| Reply::Array(Vec::new())));
    }
    let count = asked.unwrap_or(1);
    let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let chosen: Vec<usize> = if count < 0 {
        (0..many).map(|_| server.below(length)).collect()
    } else {
        let mut all: Vec<usize> = (0..length).collect();
        if many < length {
            for at in 0..many {
                let other = at + server.below(length - at);
                all.swap(at, other);
            }
            all.truncate(many);
        }
        all
    };
    let Some(set) = server.sorted_set(database, key)? else {
        return Ok(Reply::Null);
    };
    let chosen = chosen.into_iter().map(|rank| &set.entries()[rank]);
    let member = |entry: &(f64, Vec<u8>)| Reply::bulk(entry.1.as_slice());
    Ok(if asked.is_none() {
        chosen.map(member).next().unwrap_or(Reply::Null)
    } else if with_scores {
        scored_entries(chosen, caller.resp)
    } else {
        Reply::Array(chosen.map(member).collect())
    })
}
