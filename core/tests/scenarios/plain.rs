//! The plain connection of a scenario: to the server, to the master, or to the primaries that have the keys.

use std::collections::HashMap;

use redis::{RedisError, RedisResult, Value, from_redis_value};

use crate::common::Server;
use crate::common::server::command;
use crate::common::topology::Cluster;
use crate::place::Place;

/// How often a key may be somewhere else.
const HOPS: usize = 5;

pub(crate) struct Plain<'a> {
    place: &'a Place,
    /// By port.
    connections: HashMap<u16, redis::Connection>,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(place: &'a Place) -> Self {
        Self {
            place,
            connections: HashMap::new(),
        }
    }

    /// One command; the outer `None` where there is no server.
    ///
    /// In a cluster one without a key goes to every primary, and the counter of an app id stands for all that it has.
    pub(crate) fn command(&mut self, words: &[&str]) -> Option<RedisResult<Value>> {
        match self.place {
            Place::Server(server) => Some(self.on(server, words)),
            Place::Sentinels(_, sentinels) => {
                Some(self.on(&sentinels.nodes[sentinels.master()], words))
            }
            Place::Cluster(_, cluster) => Some(self.in_cluster(cluster, words)),
            Place::File(_) | Place::Memory(_) => None,
        }
    }

    fn in_cluster(&mut self, cluster: &Cluster, words: &[&str]) -> RedisResult<Value> {
        let keys = keys_of(words);
        let Some(&first) = keys.first() else {
            let replies = self.everywhere(cluster, words);
            return Ok(combined(replies?));
        };
        if SUMMED.contains(&words[0]) {
            let mut replies = Vec::new();
            for key in keys {
                for key in self.meant(cluster, key)? {
                    replies.push(self.routed(cluster, &[words[0], &key])?);
                }
            }
            return Ok(combined(replies));
        }
        let mut replies = Vec::new();
        for key in self.meant(cluster, first)? {
            let named = words
                .iter()
                .map(|&word| if word == first { &key } else { word });
            let named: Vec<_> = named.collect();
            replies.push(self.routed(cluster, &named)?);
        }
        let number = |reply: &Value| from_redis_value::<i64>(reply.clone()).ok();
        Ok(replies.into_iter().max_by_key(number).expect("a key"))
    }

    /// What every primary answers.
    fn everywhere(&mut self, cluster: &Cluster, words: &[&str]) -> RedisResult<Vec<Value>> {
        let (primaries, _) = cluster.roles();
        let replies = primaries
            .into_iter()
            .map(|node| self.on(&cluster.nodes[node], words));
        replies.collect()
    }

    /// The counters that the cluster has, where the key is an app id's.
    fn meant(&mut self, cluster: &Cluster, key: &str) -> RedisResult<Vec<String>> {
        let app = key
            .strip_prefix("lock||")
            .and_then(|rest| rest.strip_suffix("||||fence"));
        let mut found = Vec::new();
        if let Some(app) = app {
            let pattern = format!("{{lock||*}}||{app}||||fence");
            for keys in self.everywhere(cluster, &["KEYS", &pattern])? {
                found.extend(from_redis_value::<Vec<String>>(keys)?);
            }
        }
        if found.is_empty() {
            found.push(key.to_owned());
        }
        Ok(found)
    }

    fn routed(&mut self, cluster: &Cluster, words: &[&str]) -> RedisResult<Value> {
        let mut node = &cluster.nodes[0];
        for _ in 0..HOPS {
            let reply = self.on(node, words);
            let moved = |error: &RedisError| {
                let (_, port) = error.redirect_node()?.0.rsplit_once(':')?;
                port.parse::<u16>().ok()
            };
            let Some(port) = reply.as_ref().err().and_then(moved) else {
                return reply;
            };
            node = cluster
                .nodes
                .iter()
                .find(|node| node.port == port)
                .expect("one of the nodes");
        }
        panic!("moved {HOPS} times: {words:?}");
    }

    /// A connection that was cut is made anew, once.
    fn on(&mut self, server: &Server, words: &[&str]) -> RedisResult<Value> {
        let connection = self
            .connections
            .entry(server.port)
            .or_insert_with(|| server.connect());
        match command(words).query(connection) {
            Err(error) if error.is_io_error() || error.is_connection_dropped() => {
                *connection = server.connect();
                command(words).query(connection)
            }
            reply => reply,
        }
    }
}

/// Asked key by key, and added up.
const SUMMED: [&str; 2] = ["EXISTS", "DEL"];

/// The keys of a command, as far as the scenarios know any.
fn keys_of<'a>(words: &[&'a str]) -> Vec<&'a str> {
    match words[0] {
        "EXISTS" | "DEL" => words[1..].to_vec(),
        "EVAL" => words[3..3 + words[2].parse::<usize>().expect("a count")].to_vec(),
        "FLUSHALL" | "SCRIPT" | "CLIENT" | "PING" => Vec::new(),
        _ => words[1..2].to_vec(),
    }
}

/// The sum of numbers, or the first of other replies.
fn combined(replies: Vec<Value>) -> Value {
    let numbers: Vec<_> = replies
        .iter()
        .filter_map(|reply| match reply {
            Value::Int(number) => Some(*number),
            _ => None,
        })
        .collect();
    if numbers.is_empty() {
        replies.into_iter().next().expect("a reply")
    } else {
        Value::Int(numbers.into_iter().sum())
    }
}
