//! What a server shows of itself, asked on a connection of its own. Whatever is denied is left out, in the server's words.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use redis::{Pipeline, Value};

use super::RedisStore;
use super::config::{Address, Config};
use super::connection::Connection;
use super::failure;
use super::rights::Probe;
use crate::diagnosis::{
    ClockOffset, Diagnosis, Look, Refusal, Rights, ServerFacts, SlowCommand, Transport,
};
use crate::store::Failure;

/// Probes of the round trip, after a first one that pays for what is cold.
const PROBES: usize = 20;
/// On a slow line fewer probes tell as much.
const PROBING: Duration = Duration::from_secs(3);
/// Entries of the slow log to look at.
const SLOW_ENTRIES: usize = 128;

/// The settings that a promise depends on.
const SETTINGS: &[&str] = &[
    "appendfsync",
    "appendonly",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "save",
    "slowlog-log-slower-than",
];

impl RedisStore {
    pub(super) async fn look(&self, app_id: &Arc<str>) -> Result<Diagnosis, Failure> {
        let connection = self.route.any_link().await?.connect_apart().await?;
        let address = connection.address.clone();
        let server = Examined {
            connection,
            timeout: self.timeout,
        };
        let config = &self.config;
        let info = server.ask(redis::pipe().cmd("INFO")).await?;
        let hello = server.ask(redis::pipe().cmd("HELLO")).await?;
        let slow = server
            .ask(redis::pipe().cmd("SLOWLOG").arg("GET").arg(SLOW_ENTRIES))
            .await?;
        let (round_trips, clock) = server.probe().await?;
        let facts = ServerFacts {
            address: address.to_string(),
            transport: transport(&address, config),
            user: config.log_ins().user().unwrap_or("default".to_owned()),
            has_password: config.log_ins().has_password(),
            hello: look(&hello, fields),
            info: look(&info, |value| Some(info_fields(&text(value)?))),
            config: server.config().await?,
            slow: look(&slow, slow_commands),
            clock,
            round_trips,
            rights: server.rights(config, app_id, &self.client_id).await?,
        };
        Ok(Diagnosis::Server(Box::new(facts)))
    }
}

/// A server while it is looked at.
struct Examined {
    connection: Arc<Connection>,
    timeout: Duration,
}

impl Drop for Examined {
    fn drop(&mut self) {
        self.connection.end();
    }
}

impl Examined {
    async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let packed = pipeline.into();
        let answer = self
            .connection
            .ask(Some(self.timeout), |out| out.append(&packed));
        answer.await.map(|(_, replies)| replies)
    }

    /// The reply to one command.
    async fn ask(&self, pipeline: &Pipeline) -> Result<Value, Failure> {
        Ok(self.send(pipeline).await?.pop().unwrap_or_default())
    }

    /// The settings that matter, those that the server has.
    async fn config(&self) -> Result<Look<BTreeMap<String, String>>, Failure> {
        let mut pipeline = redis::pipe();
        for setting in SETTINGS {
            pipeline.cmd("CONFIG").arg("GET").arg(setting);
        }
        let mut found = BTreeMap::new();
        for reply in self.send(&pipeline).await? {
            match look(&reply, fields) {
                Ok(setting) => found.extend(setting),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(found))
    }

    /// Round trips, and the server's clock by the quickest of them.
    async fn probe(&self) -> Result<(Vec<Duration>, Look<ClockOffset>), Failure> {
        let mut time = redis::pipe();
        time.cmd("TIME");
        let mut clock = look(&self.ask(&time).await?, |_| None);
        let (mut round_trips, mut quickest) = (Vec::with_capacity(PROBES), Duration::MAX);
        let start = Instant::now();
        while round_trips.len() < PROBES && (round_trips.is_empty() || start.elapsed() < PROBING) {
            let (sent_at, sent) = (SystemTime::now(), Instant::now());
            let reply = self.ask(&time).await?;
            let took = sent.elapsed();
            round_trips.push(took);
            if took < quickest {
                quickest = took;
                clock = look(&reply, |value| clock_offset(value, sent_at, took));
            }
        }
        Ok((round_trips, clock))
    }

    async fn rights(
        &self,
        config: &Config,
        app_id: &Arc<str>,
        client_id: &str,
    ) -> Result<Rights, Failure> {
        let probe = Probe::new(
            config.prefix(),
            app_id,
            client_id,
            config.database(),
            config.replicas(),
        );
        let replies = self.send(&Probe::harmless()).await?;
        if let Some(rights) = probe.without_transactions(&replies) {
            return Ok(rights);
        }
        Ok(probe.rights_shown(&self.send(&probe.request()).await?))
    }
}

/// The refusal that a reply is, if it is one.
pub(super) fn refusal(reply: &Value) -> Option<Refusal> {
    let Value::ServerError(error) = reply else {
        return None;
    };
    Some(Refusal {
        code: error.code().to_owned(),
        words: failure::words_of(error),
    })
}

fn look<T>(reply: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Look<T> {
    match refusal(reply) {
        Some(refusal) => Err(refusal),
        None => read(reply).ok_or_else(|| Refusal {
            code: String::new(),
            words: "it gave an answer that makes no sense".to_owned(),
        }),
    }
}

fn transport(address: &Address, config: &Config) -> Transport {
    match address {
        Address::Unix(_) => Transport::Unix,
        Address::Tcp { .. } if config.speaks_tls() => Transport::Tls,
        Address::Tcp { host, .. } => {
            let local = host == "localhost"
                || host.parse::<IpAddr>().is_ok_and(|address| {
                    // An IPv4 address may be written as one of IPv6.
                    address.to_canonical().is_loopback()
                });
            if local {
                Transport::Loopback
            } else {
                Transport::Plain
            }
        }
    }
}

/// A text or a number, as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

/// The fields of a map, or of a list of names and values, those whose value is text.
fn fields(value: &Value) -> Option<BTreeMap<String, String>> {
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

fn info_fields(info: &str) -> BTreeMap<String, String> {
    let lines = info.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
        .collect()
}

/// Reads entries of the slow log: number, time in seconds, duration in µs, command, and more. Arguments are not kept.
fn slow_commands(value: &Value) -> Option<Vec<SlowCommand>> {
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
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(*at).ok()?),
            took: Duration::from_micros(u64::try_from(*took).ok()?),
        })
    };
    entries.iter().map(read).collect()
}

/// The server's clock beside ours: it was read about the middle of the round trip.
fn clock_offset(value: &Value, sent_at: SystemTime, took: Duration) -> Option<ClockOffset> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [seconds, micros] = parts.as_slice() else {
        return None;
    };
    let seconds = Duration::from_secs(text(seconds)?.parse().ok()?);
    let theirs =
        SystemTime::UNIX_EPOCH + seconds + Duration::from_micros(text(micros)?.parse().ok()?);
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
