//! What a server shows of itself, asked on a connection of its own. Whatever is denied is left out, in the server's words.

mod cluster;
mod reading;
mod sentinels;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use redis::{Pipeline, Value};

pub(super) use self::reading::refusal;
use self::reading::{clock_offset, fields, lines, look, slow_commands};
use super::RedisStore;
use super::config::{Address, Config, Topology};
use super::connect::Server;
use super::connection::Connection;
use super::health::Health;
use super::link::Link;
use super::locator::Fixed;
use super::rights::Probe;
use super::wire::Packed;
use crate::diagnosis::{Announced, ClockOffset, Diagnosis, Look, Rights, ServerFacts, Transport};
use crate::store::{Failure, Host, Scope};

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
    "cluster-node-timeout",
    "cluster-require-full-coverage",
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
        match self.config.topology() {
            Topology::One => {
                let server = self.open(&self.config, &self.config.endpoints()[0]).await?;
                let facts = server.facts(self, app_id, |_| true).await?;
                Ok(Diagnosis::Server(Box::new(facts)))
            }
            Topology::Sentinel(service) => self.look_at_sentinels(service, app_id).await,
            Topology::Cluster => self.look_at_cluster(app_id).await,
        }
    }

    /// A connection of its own to whatever answers at `address`.
    async fn open(&self, config: &Arc<Config>, address: &Address) -> Result<Examined, Failure> {
        let locator = Box::new(Fixed::at(address));
        let health = Health::new(self.timeout);
        let server = Server::new(config.clone(), locator, health, Arc::default());
        let host = Host {
            listener: Arc::new(|_| {}),
            spawn: self.spawn.clone(),
        };
        let link = Link::new(server, self.client_id.clone(), host, Scope::all());
        Ok(Examined {
            connection: link.connect_apart().await?,
            timeout: self.timeout,
        })
    }

    /// A server that is announced, with what `look` sees there.
    async fn reach<T>(
        &self,
        config: &Arc<Config>,
        announced: &Address,
        look: impl AsyncFnOnce(Examined) -> Result<T, Failure>,
    ) -> Announced<T> {
        let address = self.config.reach(announced.clone());
        let found = match self.open(config, &address).await {
            Ok(server) => look(server).await,
            Err(failure) => Err(failure),
        };
        Announced {
            announced: announced.to_string(),
            reached_at: address.to_string(),
            found: found.map_err(|failure| failure.error.message().to_owned()),
        }
    }

    /// Whether each of these can be reached.
    async fn reach_all(&self, announced: &[Address]) -> Vec<Announced<()>> {
        let each = announced.iter();
        let look = async |_| Ok(());
        join_all(each.map(|address| self.reach(&self.config, address, look))).await
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
    /// All that a server shows; `has` knows its slots.
    async fn facts(
        &self,
        store: &RedisStore,
        app_id: &Arc<str>,
        has: impl Fn(u16) -> bool,
    ) -> Result<ServerFacts, Failure> {
        let (config, address) = (&store.config, &self.connection.address);
        let info = self.ask(&["INFO"]).await?;
        let hello = self.ask(&["HELLO"]).await?;
        let entries = SLOW_ENTRIES.to_string();
        let slow = self.ask(&["SLOWLOG", "GET", &entries]).await?;
        let (round_trips, clock) = self.probe().await?;
        let cluster = if *config.topology() == Topology::Cluster {
            let told = self.ask(&["CLUSTER", "INFO"]).await?;
            Some(look(&told, lines))
        } else {
            None
        };
        let probe = Probe::new(config, app_id, &store.client_id, has);
        Ok(ServerFacts {
            address: address.to_string(),
            transport: transport(address, config),
            user: config.log_ins().user().unwrap_or("default".to_owned()),
            has_password: config.log_ins().has_password(),
            hello: look(&hello, fields),
            info: look(&info, lines),
            config: self.config().await?,
            slow: look(&slow, slow_commands),
            clock,
            round_trips,
            rights: self.rights(probe).await?,
            confirming: config.replicas(),
            certificate: self.connection.certificate_expiry(),
            cluster,
        })
    }

    async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let packed = pipeline.into();
        let answer = self
            .connection
            .ask(Some(self.timeout), |out| out.append(&packed));
        answer.await.map(|(_, replies)| replies)
    }

    /// The reply to one command.
    async fn ask(&self, words: &[&str]) -> Result<Value, Failure> {
        let asked = |out: &mut Packed| out.words(words);
        let answer = self.connection.ask(Some(self.timeout), asked);
        answer
            .await
            .map(|(_, mut replies)| replies.pop().unwrap_or_default())
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
        let mut clock = look(&self.ask(&["TIME"]).await?, |_| None);
        let (mut round_trips, mut quickest) = (Vec::with_capacity(PROBES), Duration::MAX);
        let start = Instant::now();
        while round_trips.len() < PROBES && (round_trips.is_empty() || start.elapsed() < PROBING) {
            let (sent_at, sent) = (SystemTime::now(), Instant::now());
            let reply = self.ask(&["TIME"]).await?;
            let took = sent.elapsed();
            round_trips.push(took);
            if took < quickest {
                quickest = took;
                clock = look(&reply, |value| clock_offset(value, sent_at, took));
            }
        }
        Ok((round_trips, clock))
    }

    async fn rights(&self, mut probe: Probe) -> Result<Rights, Failure> {
        let replies = self.send(&Probe::harmless()).await?;
        if let Some(rights) = probe.without_transactions(&replies) {
            return Ok(rights);
        }
        loop {
            let rights = probe.rights_shown(&self.send(&probe.request()).await?);
            match probe.without_slots(&rights) {
                Some(other) => probe = other,
                None => return Ok(rights),
            }
        }
    }
}

fn transport(address: &Address, config: &Config) -> Transport {
    match address {
        Address::Unix(_) => Transport::Unix,
        Address::Tcp { .. } if config.speaks_tls() && config.verifies() => Transport::Tls,
        Address::Tcp { .. } if config.speaks_tls() => Transport::UnverifiedTls,
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

/// A reply, taken for whatever a diagnosis asks for.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzzing(value: &Value, sent_at: SystemTime, took: Duration) {
    let _ = look(value, fields);
    let _ = look(value, lines);
    let _ = look(value, slow_commands);
    let _ = look(value, |value| clock_offset(value, sent_at, took));
}
