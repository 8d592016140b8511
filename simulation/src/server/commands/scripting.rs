//! Scripts.

use super::integer;
use crate::server::instance::Server;
use crate::server::lua;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn eval(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let keys = keys(words)?;
    let script = server.load_script(&words[1])?;
    lua::run(server, caller, &script, words, keys)
}

pub(in crate::server) fn eval_hash(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let keys = keys(words)?;
    let script = hash(&words[1]).and_then(|hash| server.scripts.get(&hash));
    let Some(script) = script.cloned() else {
        return Err(if server.flavour().is_valkey() {
            "NOSCRIPT No matching script.".into()
        } else {
            "NOSCRIPT No matching script. Please use EVAL.".into()
        });
    };
    lua::run(server, caller, &script, words, keys)
}

/// How many keys a script is called with.
fn keys(words: &Words) -> std::result::Result<usize, Refused> {
    let count = integer(words, 2)?;
    let most = i64::try_from(words.len() - 3).unwrap_or(i64::MAX);
    if count > most {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    usize::try_from(count).map_err(|_| "ERR Number of keys can't be negative".into())
}

fn hash(word: &[u8]) -> Option<[u8; 40]> {
    let mut hash: [u8; 40] = word.try_into().ok()?;
    hash.make_ascii_lowercase();
    Some(hash)
}

pub(in crate::server) fn load(server: &mut Server, _: Caller, words: &Words) -> Result {
    let script = server.load_script(&words[2])?;
    Ok(Reply::bulk(script.hash))
}

pub(in crate::server) fn exist(server: &mut Server, _: Caller, words: &Words) -> Result {
    let is_known = |word: &[u8]| hash(word).is_some_and(|hash| server.scripts.contains_key(&hash));
    let known = words
        .from(2)
        .map(|word| Reply::Int(i64::from(is_known(word))));
    Ok(Reply::Array(known.collect()))
}

pub(in crate::server) fn flush(server: &mut Server, _: Caller, words: &Words) -> Result {
    let is_known =
        words.len() == 2 || words.len() == 3 && (words.is(2, "SYNC") || words.is(2, "ASYNC"));
    if !is_known {
        return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into());
    }
    server.scripts.clear();
    Ok(Reply::OK)
}
