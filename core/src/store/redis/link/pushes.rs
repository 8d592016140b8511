//! What a server says on the shared connection without being asked: grants and turns for waiters, and changes to locks.

use redis::Value;

use super::Link;
use crate::store::Event;
use crate::store::redis::cluster::SlotSet;
use crate::store::redis::connection::Connection;
use crate::store::redis::slots;
use crate::store::redis::wire::{self, Changed};
use crate::sync::lock;

impl Link {
    /// Passes on what pushes of a connection say.
    pub(in crate::store::redis) fn on_pushes(
        &self,
        connection: &Connection,
        pushes: &[Vec<Value>],
    ) {
        // A primary that becomes a replica takes them all back, and each time all waiters are looked through.
        let mut taken_back: Option<SlotSet> = None;
        for push in pushes {
            match wire::unsubscribed(push).map(slots::slot) {
                Some(slot) => {
                    connection.unsubscribed(slot);
                    taken_back.get_or_insert_default().add(slot);
                }
                None => self.on_push(connection, push),
            }
        }
        if let Some(slots) = taken_back {
            self.on_unsubscribed(connection, slots);
        }
    }

    fn on_push(&self, connection: &Connection, push: &[Value]) {
        let epoch = connection.epoch;
        if let Some(changed) = wire::changed(push) {
            self.on_changed(epoch, changed);
            return;
        }
        let [Value::BulkString(kind), _, Value::BulkString(payload)] = push else {
            return;
        };
        let Ok(payload) = std::str::from_utf8(payload) else {
            return;
        };
        if !matches!(kind.as_slice(), b"message" | b"smessage") {
            return;
        }
        // What comes late from a connection that was given up is no news. It stays the live one until the news is told: a
        // grant of an earlier one must not follow its reset.
        let _turn = lock(&self.turn);
        if self.live().is_none_or(|live| live.epoch != epoch) {
            return;
        }
        if self.server.config.is_for_sentinels() {
            self.server.locator.on_message(payload);
            return;
        }
        match wire::message(payload) {
            Some(wire::Message::Granted { lock, owner, grant }) => {
                if let Some(lock) = self.server.config.prefix().parse(lock) {
                    (self.host.listener)(Event::Granted {
                        lock,
                        owner: owner.to_owned(),
                        grant,
                    });
                }
            }
            Some(wire::Message::Next { owner, expires_in }) => {
                (self.host.listener)(Event::Next {
                    owner: owner.to_owned(),
                    expires_in,
                });
            }
            None => {}
        }
    }

    /// The server has taken back the subscriptions to the inboxes of `slots`: they have gone elsewhere, or the server is no
    /// primary any more.
    fn on_unsubscribed(&self, connection: &Connection, slots: SlotSet) {
        if self
            .live()
            .is_some_and(|live| live.epoch == connection.epoch)
        {
            let scope = SlotSet::scope(Box::new(slots), self.server.config.prefix());
            let is_new = true;
            (self.host.listener)(Event::Reset { scope, is_new });
        }
    }

    /// Tells of locks that others have changed. Of what changed on an earlier connection the reset has told already.
    fn on_changed(&self, epoch: u64, changed: Changed<'_>) {
        if self.live().is_none_or(|live| live.epoch != epoch) {
            return;
        }
        match changed {
            Changed::All => {
                let scope = self.scope.clone();
                (self.host.listener)(Event::Flushed { scope });
            }
            Changed::Keys(keys) => {
                for key in keys {
                    if let Some(lock) = self.server.config.prefix().parse(key) {
                        (self.host.listener)(Event::Touched { lock });
                    }
                }
            }
        }
    }
}
