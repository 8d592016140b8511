//! Transactions.

use crate::server::connection::ConnId;
use crate::server::instance::Server;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::transaction::Transaction;
use crate::server::words::Words;

type Result = std::result::Result<Reply, Refused>;

pub(in crate::server) fn multi(server: &mut Server, caller: Caller, _: &Words) -> Result {
    let connection = server.connection(caller.id);
    if connection.transaction.is_some() {
        return Err("ERR MULTI calls can not be nested".into());
    }
    connection.transaction = Some(Transaction::default());
    Ok(Reply::OK)
}

pub(in crate::server) fn discard(server: &mut Server, caller: Caller, _: &Words) -> Result {
    if server.connection(caller.id).transaction.is_none() {
        return Err("ERR DISCARD without MULTI".into());
    }
    server.end_transaction(caller.id);
    Ok(Reply::OK)
}

pub(in crate::server) fn exec(server: &mut Server, caller: Caller, _: &Words) -> Result {
    let id = caller.id;
    let connection = server.connection(id);
    let Some(transaction) = connection.transaction.take() else {
        return Err("ERR EXEC without MULTI".into());
    };
    let is_touched = connection.is_touched || server.has_watched_expired(id);
    server.unwatch(id);
    if transaction.is_refused {
        return Err("EXECABORT Transaction discarded because of previous errors.".into());
    }
    if is_touched {
        return Ok(Reply::NullArray);
    }
    // Some commands write their replies themselves, between the others'.
    server.send(id, |writer| writer.array(transaction.commands.len()));
    for (command, words) in transaction.commands {
        let connection = server.connection(id);
        let inner = Caller {
            database: connection.database,
            resp: connection.resp,
            is_inner: true,
            ..caller
        };
        let reply = server.call(command, inner, &words);
        server.write(id, &reply);
    }
    Ok(Reply::Nothing)
}

pub(in crate::server) fn watch(server: &mut Server, caller: Caller, words: &Words) -> Result {
    if server.connection(caller.id).transaction.is_some() {
        return Err("ERR WATCH inside MULTI is not allowed".into());
    }
    let millis = server.millis();
    for key in words.from(1) {
        let entry = server.databases[caller.database].get(key);
        let has_ended = entry.is_some_and(|entry| entry.is_expired(millis));
        let watched = &mut server.connection(caller.id).watched;
        let mut others = watched.iter();
        if others.any(|(database, other, _)| *database == caller.database && other == key) {
            continue;
        }
        watched.push((caller.database, key.to_vec(), has_ended));
        if watched.len() == 1 {
            server.watchers += 1;
        }
    }
    Ok(Reply::OK)
}

pub(in crate::server) fn unwatch(server: &mut Server, caller: Caller, _: &Words) -> Result {
    server.unwatch(caller.id);
    Ok(Reply::OK)
}

impl Server {
    /// Drops a transaction, and what it watches.
    pub(in crate::server) fn end_transaction(&mut self, id: ConnId) {
        self.connection(id).transaction = None;
        self.unwatch(id);
    }

    pub(in crate::server) fn unwatch(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_touched = false;
            if !connection.watched.is_empty() {
                connection.watched.clear();
                self.watchers -= 1;
            }
        }
    }

    /// Whether the time of a key has ended since it is watched.
    fn has_watched_expired(&self, id: ConnId) -> bool {
        let millis = self.millis();
        let Some(connection) = self.connections.get(&id) else {
            return false;
        };
        connection.watched.iter().any(|(database, key, had_ended)| {
            let entry = self.databases[*database].get(key);
            !had_ended && entry.is_some_and(|entry| entry.is_expired(millis))
        })
    }
}
