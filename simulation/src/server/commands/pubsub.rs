//! Channels.

use crate::server::connection::{ConnId, Connection};
use crate::server::instance::Server;
use crate::server::reply::{Refused, Reply};
use crate::server::subscriptions::Kind;
use crate::server::table::Caller;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn publish(server: &mut Server, _: Caller, words: &Words) -> Result {
    let (channel, text) = (&words[1], &words[2]);
    let mut heard = tell(server, Kind::Channel, "message", channel, text);
    for (id, pattern) in server.subscriptions.by_pattern(channel) {
        server.tell(id, |writer| {
            writer.push(4);
            writer.bulk(b"pmessage");
            writer.bulk(&pattern);
            writer.bulk(channel);
            writer.bulk(text);
        });
        heard += 1;
    }
    Ok(Reply::count(heard))
}

pub(in crate::server) fn publish_sharded(server: &mut Server, _: Caller, words: &Words) -> Result {
    let heard = tell(server, Kind::Shard, "smessage", &words[1], &words[2]);
    Ok(Reply::count(heard))
}

fn tell(server: &mut Server, kind: Kind, word: &str, channel: &[u8], text: &[u8]) -> usize {
    let listeners = server.subscriptions.listeners(kind, channel);
    for id in &listeners {
        server.tell(*id, |writer| {
            writer.push(3);
            writer.bulk(word.as_bytes());
            writer.bulk(channel);
            writer.bulk(text);
        });
    }
    listeners.len()
}

pub(in crate::server) fn count(server: &mut Server, _: Caller, words: &Words) -> Result {
    Ok(counts(server, Kind::Channel, words))
}

pub(in crate::server) fn count_sharded(server: &mut Server, _: Caller, words: &Words) -> Result {
    Ok(counts(server, Kind::Shard, words))
}

fn counts(server: &mut Server, kind: Kind, words: &Words) -> Reply {
    let mut counts = Vec::new();
    for channel in words.from(2) {
        counts.push(Reply::bulk(channel));
        counts.push(Reply::count(server.subscriptions.count(kind, channel)));
    }
    Reply::Array(counts)
}

pub(in crate::server) fn subscribe(server: &mut Server, caller: Caller, words: &Words) -> Result {
    Ok(server.subscribe(Kind::Channel, caller.id, words))
}

pub(in crate::server) fn subscribe_pattern(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    Ok(server.subscribe(Kind::Pattern, caller.id, words))
}

pub(in crate::server) fn subscribe_sharded(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    if caller.is_inner {
        return Err("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client".into());
    }
    Ok(server.subscribe(Kind::Shard, caller.id, words))
}

pub(in crate::server) fn unsubscribe(server: &mut Server, caller: Caller, words: &Words) -> Result {
    Ok(server.unsubscribe(Kind::Channel, caller.id, words))
}

pub(in crate::server) fn unsubscribe_pattern(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    Ok(server.unsubscribe(Kind::Pattern, caller.id, words))
}

pub(in crate::server) fn unsubscribe_sharded(
    server: &mut Server,
    caller: Caller,
    words: &Words,
) -> Result {
    Ok(server.unsubscribe(Kind::Shard, caller.id, words))
}

impl Server {
    fn subscribe(&mut self, kind: Kind, id: ConnId, words: &Words) -> Reply {
        for channel in words.from(1) {
            self.connection(id)
                .subscribed(kind)
                .insert(channel.to_vec());
            self.subscriptions.add(kind, channel, id);
            self.confirm(
                kind,
                ["subscribe", "psubscribe", "ssubscribe"],
                id,
                Some(channel),
            );
        }
        Reply::Nothing
    }

    fn unsubscribe(&mut self, kind: Kind, id: ConnId, words: &Words) -> Reply {
        let channels: Vec<Vec<u8>> = if words.len() > 1 {
            words.from(1).map(<[u8]>::to_vec).collect()
        } else {
            self.connection(id)
                .subscribed(kind)
                .iter()
                .cloned()
                .collect()
        };
        let verbs = ["unsubscribe", "punsubscribe", "sunsubscribe"];
        for channel in &channels {
            self.connection(id).subscribed(kind).remove(channel);
            self.subscriptions.remove(kind, channel, id);
            self.confirm(kind, verbs, id, Some(channel));
        }
        if channels.is_empty() {
            self.confirm(kind, verbs, id, None);
        }
        Reply::Nothing
    }

    /// Ends all subscriptions of a connection, without a word.
    pub(in crate::server) fn unsubscribe_from_all(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.subscriptions.forget(id, connection);
            connection.channels.clear();
            connection.patterns.clear();
            connection.shard_channels.clear();
        }
    }

    fn confirm(&mut self, kind: Kind, verbs: [&str; 3], id: ConnId, channel: Option<&[u8]>) {
        let connection = self.connection(id);
        let (verb, count) = match kind {
            Kind::Channel => (
                verbs[0],
                connection.channels.len() + connection.patterns.len(),
            ),
            Kind::Pattern => (
                verbs[1],
                connection.channels.len() + connection.patterns.len(),
            ),
            Kind::Shard => (verbs[2], connection.shard_channels.len()),
        };
        self.send(id, |writer| {
            writer.push(3);
            writer.bulk(verb.as_bytes());
            writer.reply(&Reply::optional(channel));
            writer.reply(&Reply::count(count));
        });
    }
}

impl Connection {
    fn subscribed(&mut self, kind: Kind) -> &mut std::collections::BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }
}
