//! Sentinels, looked at: what each says of the service, and the servers that they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::Examined;
use super::reading::{fields, look, refusal, text};
use crate::diagnosis::{Announced, Diagnosis, SentinelFacts, ServerFacts, ServiceFacts};
use crate::store::Failure;
use crate::store::redis::RedisStore;
use crate::store::redis::config::Address;

/// What a user of the sentinels needs: commands, in the order of the documented rule, and channels.
const COMMANDS: &[&str] = &["get-master-addr-by-name", "master", "sentinels"];
const CHANNELS: &[&str] = &["+switch-master", "+promoted-slave"];

/// What one sentinel says, and whom it names.
struct Said {
    facts: ServiceFacts,
    /// The greatest is the newest.
    rank: u64,
    master: Option<Address>,
    others: Vec<Address>,
    replicas: Vec<Address>,
}

impl RedisStore {
    pub(super) async fn look_at_sentinels(
        &self,
        service: &str,
        app_id: &Arc<str>,
    ) -> Result<Diagnosis, Failure> {
        let config = Arc::new(self.config.for_sentinels());
        let mut said = Vec::new();
        let mut asking = self.config.endpoints().to_vec();
        let mut known = asking.clone();
        // Those that the URL names, then those that these announce.
        while !asking.is_empty() {
            let asked = asking.iter().map(|address| {
                let ask = async |sentinel: Examined| sentinel.ask_of(service).await;
                self.reach(&config, address, ask)
            });
            let asked = join_all(asked).await;
            let answers = asked.iter().filter_map(|it| it.found.as_ref().ok());
            let mut others: Vec<_> = answers.flat_map(|it| it.others.clone()).collect();
            others.retain(|it| !known.contains(it) && !known.contains(&config.reach(it.clone())));
            others.sort();
            others.dedup();
            known.extend(others.iter().cloned());
            said.extend(asked);
            asking = others;
        }
        let answers = || said.iter().filter_map(|it| it.found.as_ref().ok());
        let newest = answers().filter(|it| it.master.is_some());
        let newest = newest.max_by_key(|it| it.rank);
        let master = match newest.and_then(|it| it.master.as_ref()) {
            Some(address) => Some(self.look_at_master(address, app_id).await),
            None => None,
        };
        let mut replicas: Vec<Address> = answers().flat_map(|it| it.replicas.clone()).collect();
        if let Some(Ok(facts)) = master.as_ref().map(|it| &it.found) {
            replicas.extend(of_info(facts));
        }
        replicas.sort();
        replicas.dedup();
        if let Some(address) = newest.and_then(|it| it.master.as_ref()) {
            replicas.retain(|it| it != address);
        }
        Ok(Diagnosis::Sentinel(Box::new(SentinelFacts {
            service: service.to_owned(),
            user: config.log_ins().user().unwrap_or("default".to_owned()),
            rule: rule(),
            replicas: self.reach_all(&replicas).await,
            master,
            sentinels: said.into_iter().map(without_addresses).collect(),
        })))
    }

    async fn look_at_master(&self, address: &Address, app_id: &Arc<str>) -> Announced<ServerFacts> {
        let look = async |server: Examined| server.facts(self, app_id, |_| true).await;
        self.reach(&self.config, address, look).await
    }
}

impl Examined {
    /// What a sentinel says of `service`.
    async fn ask_of(&self, service: &str) -> Result<Said, Failure> {
        let mut missing = Vec::new();
        let mut replies = Vec::new();
        for command in COMMANDS {
            let reply = self.ask(&["SENTINEL", command, service]).await?;
            if is_denied(&reply) {
                missing.push(format!("+sentinel|{command}"));
            }
            replies.push(reply);
        }
        let replicas = self.ask(&["SENTINEL", "REPLICAS", service]).await?;
        for channel in CHANNELS {
            if let Some(refusal) = refusal(&self.ask(&["SUBSCRIBE", channel]).await?) {
                let is_command = refusal.words.contains("to run the");
                missing.push(if is_command {
                    "+subscribe".to_owned()
                } else {
                    format!("&{channel}")
                });
            }
        }
        missing.dedup();
        let asked = &*self.connection.address;
        let [named, state, others] = &replies[..] else {
            unreachable!("one for each command");
        };
        let master = match named {
            Value::Array(parts) => match parts.as_slice() {
                [host, port] => announced(text(host), text(port), asked),
                _ => None,
            },
            _ => None,
        };
        let state = look(state, fields);
        let known = state.as_ref().ok();
        let before = known.and_then(|state| of_fields(state, asked));
        let epoch = known.and_then(|state| state.get("config-epoch")?.parse::<u64>().ok());
        Ok(Said {
            // One that names another than its last master is in the middle of a failover that it leads.
            rank: 2 * epoch.unwrap_or(0) + u64::from(master.is_some() && before != master),
            others: addresses(others, asked),
            replicas: addresses(&replicas, asked),
            facts: ServiceFacts {
                master: look(named, |_| Some(master.as_ref().map(Address::to_string))),
                state,
                missing,
                certificate: self.connection.certificate_expiry(),
            },
            master,
        })
    }
}

fn without_addresses(said: Announced<Said>) -> Announced<ServiceFacts> {
    Announced {
        announced: said.announced,
        reached_at: said.reached_at,
        found: said.found.map(|said| said.facts),
    }
}

/// All that a user of the sentinels needs.
fn rule() -> String {
    let channels = CHANNELS.iter().map(|channel| format!("&{channel}"));
    let commands = COMMANDS.iter().map(|it| format!("+sentinel|{it}"));
    let rule: Vec<String> = channels.chain(commands).collect();
    format!("{} +subscribe", rule.join(" "))
}

fn is_denied(reply: &Value) -> bool {
    refusal(reply).is_some_and(|refusal| refusal.code == "NOPERM")
}

fn announced(host: Option<String>, port: Option<String>, asked: &Address) -> Option<Address> {
    let port = port?.parse().ok()?;
    Some(Address::announced(&host?, port).beside(asked))
}

fn of_fields(known: &BTreeMap<String, String>, asked: &Address) -> Option<Address> {
    announced(known.get("ip").cloned(), known.get("port").cloned(), asked)
}

/// The addresses in a list of servers that a sentinel knows; none where it does not tell.
fn addresses(known: &Value, asked: &Address) -> Vec<Address> {
    let Value::Array(known) = known else {
        return Vec::new();
    };
    let known = known.iter().filter_map(fields);
    known.filter_map(|it| of_fields(&it, asked)).collect()
}

/// The replicas that a master's INFO names: `slave0:ip=…,port=…,state=…`.
fn of_info(master: &ServerFacts) -> Vec<Address> {
    let Ok(info) = &master.info else {
        return Vec::new();
    };
    let is_replica = |name: &str| {
        let number = name.strip_prefix("slave").unwrap_or_default();
        number.parse::<u32>().is_ok()
    };
    let replicas = info.iter().filter(|(name, _)| is_replica(name));
    let read = |(_, facts): (&String, &String)| {
        let value = |name: &str| {
            let mut pairs = facts.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
        };
        let port = value("port")?.parse().ok()?;
        Some(Address::announced(&value("ip")?, port))
    };
    replicas.filter_map(read).collect()
}
