//! What is sent, and when: replies at once, some messages behind the reply to the command that caused them.

use super::connection::{ConnId, Connection};
use super::instance::Server;
use super::reply::{Reply, Resp, Writer};

impl Server {
    /// Sends a reply.
    pub(super) fn write(&mut self, id: ConnId, reply: &Reply) {
        self.send(id, |writer| writer.reply(reply));
    }

    /// Sends what `write` writes.
    pub(super) fn send(&mut self, id: ConnId, write: impl FnOnce(&mut Writer<'_>)) {
        let flavour = self.flavour();
        if let Some(Connection { output, resp, .. }) = self.connections.get_mut(&id) {
            write(&mut Writer {
                out: output,
                resp: *resp,
                flavour,
            });
        }
    }

    /// Sends a message to one who listens. Valkey lets whoever caused it have its reply first.
    pub(super) fn tell(&mut self, id: ConnId, write: impl FnOnce(&mut Writer<'_>)) {
        if self.flavour().is_valkey() {
            self.tell_behind(id, write);
        } else {
            self.send(id, write);
        }
    }

    /// Sends a message, to whoever caused it behind its reply.
    pub(super) fn tell_behind(&mut self, id: ConnId, write: impl FnOnce(&mut Writer<'_>)) {
        if self.current != Some(id) {
            self.send(id, write);
            return;
        }
        let flavour = self.flavour();
        let Connection { later, resp, .. } = self.connection(id);
        write(&mut Writer {
            out: later,
            resp: *resp,
            flavour,
        });
    }

    /// Tells of a change to a key, or to all. Only RESP3 has a way to say it.
    pub(super) fn tell_of_change(&mut self, id: ConnId, key: Option<&[u8]>) {
        let connection = self.connections.get(&id);
        if connection.is_none_or(|it| it.tracking.is_none() || it.resp == Resp::Two) {
            return;
        }
        self.tell_behind(id, |writer| {
            writer.push(2);
            writer.bulk(b"invalidate");
            match key {
                Some(key) => {
                    writer.array(1);
                    writer.bulk(key);
                }
                None => writer.reply(&Reply::Null),
            }
        });
    }
}
