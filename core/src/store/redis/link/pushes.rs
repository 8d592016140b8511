//! What a server says on the shared connection without being asked: grants and turns for waiters, and changes to locks.

use redis::Value;

use super::Link;
use crate::store::Event;
use crate::store::redis::wire::{self, Changed};
use crate::sync::lock;

impl Link {
    /// Passes on what a push of the connection numbered `epoch` says.
    pub(in crate::store::redis) fn on_push(&self, epoch: u64, push: &[Value]) {
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
        if kind != b"message" {
            return;
        }
        // What comes late from a connection that was given up is no news. It stays the live one until the news is told: a
        // grant of an earlier one must not follow its reset.
        let _turn = lock(&self.turn);
        if self.live().is_none_or(|live| live.epoch != epoch) {
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

    /// Tells of locks that others have changed. Of what changed on an earlier connection the reset has told already.
    fn on_changed(&self, epoch: u64, changed: Changed<'_>) {
        if self.live().is_none_or(|live| live.epoch != epoch) {
            return;
        }
        match changed {
            Changed::All => (self.host.listener)(Event::Touched { lock: None }),
            Changed::Keys(keys) => {
                for key in keys {
                    let lock = self.server.config.prefix().parse(key);
                    if lock.is_some() {
                        (self.host.listener)(Event::Touched { lock });
                    }
                }
            }
        }
    }
}
