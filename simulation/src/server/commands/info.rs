//! What a server tells of itself, and WAIT.

use std::fmt::Write as _;

use super::integer;
use crate::server::condition::Role;
use crate::server::instance::Server;
use crate::server::numbers;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::waiting::Waiting;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn time(server: &mut Server, _: Caller, _: &Words) -> Result {
    let (seconds, micros) = (
        server.now.div_euclid(1_000_000),
        server.now.rem_euclid(1_000_000),
    );
    let number = |number: i64| Reply::bulk(number.to_string());
    Ok(Reply::Array(vec![number(seconds), number(micros)]))
}

pub(in crate::server) fn size(server: &mut Server, caller: Caller, _: &Words) -> Result {
    Ok(Reply::count(server.databases[caller.database].len()))
}

pub(in crate::server) fn role(server: &mut Server, _: Caller, _: &Words) -> Result {
    let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    Ok(Reply::Array(match &server.role {
        Role::Master => {
            // Without replicas nothing is counted.
            let written = if server.replicas.is_empty() {
                0
            } else {
                server.offset
            };
            let replica = |(number, has): (usize, &u64)| {
                Reply::Array(vec![
                    Reply::bulk("127.0.0.1"),
                    Reply::bulk((number + 1).to_string()),
                    Reply::bulk(has.to_string()),
                ])
            };
            let replicas = server.replicas.iter().enumerate().map(replica);
            vec![
                Reply::bulk("master"),
                Reply::Int(offset(written)),
                Reply::Array(replicas.collect()),
            ]
        }
        Role::Replica {
            host,
            port,
            is_linked,
            ..
        } => vec![
            Reply::bulk("slave"),
            Reply::bulk(host.as_str()),
            Reply::Int(i64::from(*port)),
            Reply::bulk(if *is_linked { "connected" } else { "connect" }),
            Reply::Int(if *is_linked {
                offset(server.offset)
            } else {
                -1
            }),
        ],
    }))
}

pub(in crate::server) fn info(server: &mut Server, _: Caller, words: &Words) -> Result {
    let wants = |section: &str| {
        let all = ["default", "all", "everything", section];
        words.len() == 1 || (1..words.len()).any(|at| all.iter().any(|it| words.is(at, it)))
    };
    let mut text = String::new();
    let mut section = |name: &str, lines: &str| {
        if wants(&name.to_ascii_lowercase()) {
            let between = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{between}# {name}\r\n{lines}");
        }
    };
    let version = &server.config.version;
    let of_valkey = if server.flavour().is_valkey() {
        // What older clients take for the version of Redis.
        format!("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:{version}\r\n")
    } else {
        format!("redis_version:{version}\r\n")
    };
    section(
        "Server",
        &format!("{of_valkey}redis_mode:standalone\r\nprocess_id:1\r\ntcp_port:6379\r\n"),
    );
    let clients = server.connections.len();
    section("Clients", &format!("connected_clients:{clients}\r\n"));
    section(
        "Memory",
        "used_memory:1000000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
    );
    section(
        "Persistence",
        "loading:0\r\naof_enabled:0\r\nrdb_last_bgsave_status:ok\r\n",
    );
    section("Stats", "evicted_keys:0\r\n");
    section("Replication", &replication(server));
    let mut keyspace = String::new();
    for (number, keys) in server.databases.iter().enumerate() {
        let with_end = keys.values().filter(|it| it.expires.is_some()).count();
        let keys = keys.len();
        if keys > 0 {
            let _ = write!(
                keyspace,
                "db{number}:keys={keys},expires={with_end},avg_ttl=0\r\n"
            );
        }
    }
    section("Keyspace", &keyspace);
    Ok(Reply::Verbatim(text))
}

fn replication(server: &Server) -> String {
    let mut text = String::new();
    match &server.role {
        Role::Master => text.push_str("role:master\r\n"),
        Role::Replica {
            host,
            port,
            is_linked,
            ..
        } => {
            let status = if *is_linked { "up" } else { "down" };
            let _ = write!(
                text,
                "role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:{status}\r\n"
            );
        }
    }
    let _ = write!(text, "connected_slaves:{}\r\n", server.replicas.len());
    for (number, has) in server.replicas.iter().enumerate() {
        let port = number + 1;
        let _ = write!(
            text,
            "slave{number}:ip=127.0.0.1,port={port},state=online,offset={has},lag=0\r\n"
        );
    }
    let _ = write!(text, "master_repl_offset:{}\r\n", server.offset);
    text
}

/// The settings that promises depend on, as they are by default without persistence.
const SETTINGS: &[(&str, &str)] = &[
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("cluster-node-timeout", "15000"),
    ("cluster-require-full-coverage", "yes"),
    ("maxclients", "10000"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("min-replicas-max-lag", "10"),
    ("min-replicas-to-write", "0"),
    ("save", ""),
    ("slowlog-log-slower-than", "10000"),
];

pub(in crate::server) fn config_get(_: &mut Server, _: Caller, words: &Words) -> Result {
    let asked = |name: &str| {
        let mut patterns = words.from(2).map(<[u8]>::to_ascii_lowercase);
        patterns.any(|pattern| crate::server::glob::matches(&pattern, name.as_bytes()))
    };
    let found = SETTINGS.iter().filter(|(name, _)| asked(name));
    let pairs = found.map(|(name, value)| (Reply::bulk(*name), Reply::bulk(*value)));
    Ok(Reply::Map(pairs.collect()))
}

/// Nothing is ever slow here.
pub(in crate::server) fn slow_log(_: &mut Server, _: Caller, words: &Words) -> Result {
    if words.len() > 3 {
        return Err(
            "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."
                .into(),
        );
    }
    Ok(Reply::Array(Vec::new()))
}

pub(in crate::server) fn wait(server: &mut Server, caller: Caller, words: &Words) -> Result {
    if server.role != Role::Master {
        let since = if server.flavour().is_valkey() {
            ""
        } else {
            "since Redis 4.0 "
        };
        return Err(format!(
            "ERR WAIT cannot be used with replica instances. Please also note that {since}if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
        )
        .into());
    }
    let replicas = integer(words, 1)?;
    let Some(millis) = numbers::integer(&words[2]) else {
        return Err("ERR timeout is not an integer or out of range".into());
    };
    if millis < 0 {
        return Err("ERR timeout is negative".into());
    }
    let written = server.connection(caller.id).written;
    let count = server.replicas_with(written);
    let replicas = usize::try_from(replicas).unwrap_or(0);
    if count >= replicas || caller.is_inner {
        return Ok(Reply::count(count));
    }
    let until = server.now.saturating_add(millis.saturating_mul(1000));
    server.connection(caller.id).waiting = Some(Waiting {
        replicas,
        written,
        until: (millis > 0).then_some(until),
    });
    Ok(Reply::Nothing)
}
