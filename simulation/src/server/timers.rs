//! What a server does by itself as time passes.

use super::condition::Role;
use super::connection::ConnId;
use super::instance::{Micros, Server};
use super::reply::Reply;

impl Server {
    /// Time passes: keys whose time is over are removed, and told of; a `WAIT` whose time is over is answered; what a pause had
    /// left lying is carried out. The real ones do that ten times a second or more often.
    pub fn tick(&mut self, now: Micros) {
        self.now = now;
        if self.role == Role::Master {
            self.remove_expired();
        }
        if self.pause.is_some_and(|pause| pause.until <= now) {
            self.pause = None;
        }
        let all = self.connections.iter();
        let lies = all.filter(|(_, it)| it.waiting.is_some() || !it.requests.is_empty());
        let lies: Vec<ConnId> = lies.map(|(id, _)| *id).collect();
        for id in lies {
            self.answer_wait(id);
            self.serve(id);
        }
    }

    /// When [`tick`](Self::tick) next has something to do, by the server's clock: none while nothing has an end.
    #[must_use]
    pub fn next_tick(&self) -> Option<Micros> {
        let keys = self.databases.iter().flat_map(|keys| keys.values());
        let ends = keys.filter_map(|entry| Some((entry.expires? + 1) * 1000));
        let waits = self.connections.values();
        let waits = waits.filter_map(|it| it.waiting?.until);
        let pause = self.pause.map(|pause| pause.until);
        let expiry = if self.role == Role::Master {
            ends.min()
        } else {
            None
        };
        expiry.into_iter().chain(waits).chain(pause).min()
    }

    fn remove_expired(&mut self) {
        let millis = self.millis();
        for database in 0..self.databases.len() {
            let keys = self.databases[database].iter();
            let ended = keys.filter(|(_, entry)| entry.is_expired(millis));
            let mut ended: Vec<Vec<u8>> = ended.map(|(key, _)| key.clone()).collect();
            ended.sort_unstable();
            for key in ended {
                self.remove(database, &key);
            }
        }
    }

    /// How many replicas have all that was written up to `offset`.
    pub(super) fn replicas_with(&self, offset: u64) -> usize {
        self.replicas.iter().filter(|it| **it >= offset).count()
    }

    fn answer_wait(&mut self, id: ConnId) {
        let waiting = self.connections.get(&id).and_then(|it| it.waiting);
        let Some(waiting) = waiting else {
            return;
        };
        let count = self.replicas_with(waiting.written);
        let is_over = waiting.until.is_some_and(|until| until <= self.now);
        if count >= waiting.replicas || is_over {
            self.connection(id).waiting = None;
            self.write(id, &Reply::count(count));
        }
    }
}
