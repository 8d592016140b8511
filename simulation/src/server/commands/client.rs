//! Commands about the connection itself.

use super::{SYNTAX, integer};
use crate::server::condition::{Pause, Role};
use crate::server::connection::Tracking;
use crate::server::instance::Server;
use crate::server::reply::{Refused, Reply, Resp};
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// A command that only has commands of its own.
pub(in crate::server) fn family(_: &mut Server, _: Caller, _: &Words) -> Result {
    Err(SYNTAX.into())
}

pub(in crate::server) fn hello(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let resp = match words.get(1) {
        None => caller.resp,
        Some(version) => match crate::server::numbers::integer(version) {
            Some(2) => Resp::Two,
            Some(3) => Resp::Three,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        },
    };
    let mut name = None;
    let mut at = 2;
    while at < words.len() {
        let further = words.len() - 1 - at;
        if words.is(at, "AUTH") && further >= 2 {
            log_in(server, caller, &words[at + 1], &words[at + 2])?;
            at += 3;
        } else if words.is(at, "SETNAME") && further >= 1 {
            name = Some(checked_name(&words[at + 1])?);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(&words[at]);
            return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
        }
    }
    let connection = server.connection(caller.id);
    if !connection.is_logged_in {
        return Err(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
                .into(),
        );
    }
    connection.resp = resp;
    if let Some(name) = name {
        connection.name = name;
    }
    let is_valkey = server.flavour().is_valkey();
    let role = match server.role {
        Role::Master => "master",
        Role::Replica { .. } => "replica",
    };
    let version = if resp == Resp::Three { 3 } else { 2 };
    let id = i64::try_from(caller.id.number()).unwrap_or(i64::MAX);
    let modules = if is_valkey {
        vec![lua_module()]
    } else {
        Vec::new()
    };
    let named = |name: &str, value: Reply| (Reply::bulk(name), value);
    Ok(Reply::Map(vec![
        named(
            "server",
            Reply::bulk(if is_valkey { "valkey" } else { "redis" }),
        ),
        named("version", Reply::bulk(server.config.version.as_str())),
        named("proto", Reply::Int(version)),
        named("id", Reply::Int(id)),
        named("mode", Reply::bulk("standalone")),
        named("role", Reply::bulk(role)),
        named("modules", Reply::Array(modules)),
    ]))
}

/// Valkey's Lua is a module.
fn lua_module() -> Reply {
    Reply::Map(vec![
        (Reply::bulk("name"), Reply::bulk("lua")),
        (Reply::bulk("ver"), Reply::Int(1)),
        (Reply::bulk("path"), Reply::bulk("lua")),
        (Reply::bulk("args"), Reply::Array(Vec::new())),
    ])
}

pub(in crate::server) fn auth(server: &mut Server, caller: Caller, words: &Words) -> Result {
    match words.len() {
        2 if server.config.password.is_none() => Err(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
                .into(),
        ),
        2 => log_in(server, caller, b"default", &words[1]),
        3 => log_in(server, caller, &words[1], &words[2]),
        _ => Err(SYNTAX.into()),
    }
}

fn log_in(server: &mut Server, caller: Caller, user: &[u8], password: &[u8]) -> Result {
    let expected = server.config.password.as_deref();
    let is_right = expected.is_none_or(|expected| expected.as_bytes() == password);
    if user != b"default" || !is_right {
        return Err(WRONG_PASS.into());
    }
    server.connection(caller.id).is_logged_in = true;
    Ok(Reply::OK)
}

pub(in crate::server) fn ping(server: &mut Server, caller: Caller, words: &Words) -> Result {
    if words.len() > 2 {
        return Err("ERR wrong number of arguments for 'ping' command".into());
    }
    let text = words.get(1);
    if server.connection(caller.id).only_listens() {
        let text = text.unwrap_or_default();
        return Ok(Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(text)]));
    }
    Ok(text.map_or(Reply::status("PONG"), Reply::bulk))
}

pub(in crate::server) fn echo(_: &mut Server, _: Caller, words: &Words) -> Result {
    Ok(Reply::bulk(&words[1]))
}

pub(in crate::server) fn quit(server: &mut Server, caller: Caller, _: &Words) -> Result {
    server.connection(caller.id).is_closing = true;
    Ok(Reply::OK)
}

/// Makes the connection what it was at first.
pub(in crate::server) fn reset(server: &mut Server, caller: Caller, _: &Words) -> Result {
    server.end_transaction(caller.id);
    server.unsubscribe_from_all(caller.id);
    let is_open = server.config.password.is_none();
    let connection = server.connection(caller.id);
    connection.tracking = None;
    connection.caching = false;
    connection.resp = Resp::Two;
    connection.database = 0;
    connection.name.clear();
    connection.is_logged_in = is_open;
    Ok(Reply::status("RESET"))
}

pub(in crate::server) fn select(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let number = usize::try_from(integer(words, 1)?).unwrap_or(usize::MAX);
    if number >= server.databases.len() {
        return Err("ERR DB index is out of range".into());
    }
    server.connection(caller.id).database = number;
    Ok(Reply::OK)
}

pub(in crate::server) fn id(_: &mut Server, caller: Caller, _: &Words) -> Result {
    Ok(Reply::Int(
        i64::try_from(caller.id.number()).unwrap_or(i64::MAX),
    ))
}

fn checked_name(name: &[u8]) -> std::result::Result<Vec<u8>, Refused> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(name.to_vec())
    } else {
        Err(BAD_NAME.into())
    }
}

pub(in crate::server) fn set_name(server: &mut Server, caller: Caller, words: &Words) -> Result {
    server.connection(caller.id).name = checked_name(&words[2])?;
    Ok(Reply::OK)
}

pub(in crate::server) fn get_name(server: &mut Server, caller: Caller, _: &Words) -> Result {
    let name = &server.connection(caller.id).name;
    Ok(Reply::optional((!name.is_empty()).then_some(name)))
}

pub(in crate::server) fn set_info(_: &mut Server, _: Caller, words: &Words) -> Result {
    let shown = |index: usize| String::from_utf8_lossy(&words[index]).into_owned();
    let attribute = if words.is(2, "lib-name") {
        "lib-name"
    } else if words.is(2, "lib-ver") {
        "lib-ver"
    } else {
        return Err(format!("ERR Unrecognized option '{}'", shown(2)).into());
    };
    if checked_name(&words[3]).is_err() {
        let words = "cannot contain spaces, newlines or special characters.";
        return Err(format!("ERR {attribute} {words}").into());
    }
    Ok(Reply::OK)
}

/// `OPTIN`, `OPTOUT` and `NOLOOP` are known, and nothing else.
pub(in crate::server) fn tracking(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let mut asked = Tracking::default();
    for index in 3..words.len() {
        if words.is(index, "OPTIN") {
            asked.opt_in = true;
        } else if words.is(index, "OPTOUT") {
            asked.opt_out = true;
        } else if words.is(index, "NOLOOP") {
            asked.no_loop = true;
        } else {
            return Err(SYNTAX.into());
        }
    }
    let connection = server.connection(caller.id);
    if words.is(2, "OFF") {
        connection.tracking = None;
        return Ok(Reply::OK);
    }
    if !words.is(2, "ON") {
        return Err(SYNTAX.into());
    }
    if asked.opt_in && asked.opt_out {
        return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
    }
    if let Some(before) = connection.tracking
        && (asked.opt_in && before.opt_out || asked.opt_out && before.opt_in)
    {
        return Err("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.".into());
    }
    connection.tracking = Some(asked);
    Ok(Reply::OK)
}

pub(in crate::server) fn caching(server: &mut Server, caller: Caller, words: &Words) -> Result {
    let connection = server.connection(caller.id);
    let Some(tracking) = connection.tracking else {
        return Err("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled".into());
    };
    if words.is(2, "YES") {
        if !tracking.opt_in {
            return Err(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
                    .into(),
            );
        }
    } else if words.is(2, "NO") {
        if !tracking.opt_out {
            return Err(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
                    .into(),
            );
        }
    } else {
        return Err(SYNTAX.into());
    }
    connection.caching = true;
    Ok(Reply::OK)
}

pub(in crate::server) fn pause(server: &mut Server, _: Caller, words: &Words) -> Result {
    let is_of_writes = match words.get(3) {
        None => false,
        Some(_) if words.is(3, "ALL") && words.len() == 4 => false,
        Some(_) if words.is(3, "WRITE") && words.len() == 4 => true,
        Some(_) => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
    };
    let Some(millis) = crate::server::numbers::integer(&words[2]) else {
        return Err("ERR timeout is not an integer or out of range".into());
    };
    if millis < 0 {
        return Err("ERR timeout is negative".into());
    }
    let until = server.now.saturating_add(millis.saturating_mul(1000));
    server.set_pause(Some(Pause {
        until,
        is_of_writes,
    }));
    Ok(Reply::OK)
}

pub(in crate::server) fn unpause(server: &mut Server, _: Caller, _: &Words) -> Result {
    server.set_pause(None);
    Ok(Reply::OK)
}
