//! The task that drives a connection: reads and writes, tells those who wait, and says when the connection has ended.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::oneshot;

use super::{Asker, Connection, Told};
use crate::clock::Moment;
use crate::store::redis::conn::{Arrivals, Broken, Conn, Progress};
use crate::store::redis::failure;
use crate::store::redis::link::Link;
use crate::store::redis::socket::Readiness;
use crate::sync::lock;

/// Reads and writes a connection until it ends.
pub(in crate::store::redis) fn drive(
    connection: Arc<Connection>,
    link: Weak<Link>,
) -> impl Future<Output = ()> + Send + 'static {
    // Whatever becomes of the task, its driver is dropped, and with it the connection ended.
    let mut driver = Driver {
        connection,
        link,
        broken: None,
        misled: None,
        over: false,
    };
    async move { driver.run().await }
}

/// The task that reads and writes a connection. Dropped, it ends the connection.
struct Driver {
    connection: Arc<Connection>,
    link: Weak<Link>,
    broken: Option<Broken>,
    /// The words by which the server is the wrong one.
    misled: Option<String>,
    /// It has come to its end, and was not dropped with its runtime.
    over: bool,
}

impl Driver {
    async fn run(&mut self) {
        self.read_and_write().await;
        self.over = true;
    }

    async fn read_and_write(&mut self) {
        let Ok(readiness) = Readiness::new(&self.connection.socket) else {
            return;
        };
        let connection = self.connection.clone();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        // When the timer goes off, if it is to.
        let mut set_for: Option<Moment> = None;
        let mut arrived = Arrivals::default();
        loop {
            let Some((wants_write, due)) = self.wanted() else {
                return;
            };
            // One timer serves many requests: it goes off for the earliest, and most are answered by then.
            if let Some(due) = due
                && set_for.is_none_or(|set| due < set)
            {
                let at = tokio::time::Instant::now() + due.remaining();
                timer.as_mut().reset(at);
                set_for = Some(due);
            }
            tokio::select! {
                biased;
                ready = readiness.ready(wants_write) => {
                    let Ok(ready) = ready else { return };
                    let mut progress = Some(Progress::Nothing);
                    readiness.used(Interest::READABLE, || {
                        progress = self.read(&mut arrived);
                        progress != Some(Progress::More)
                    });
                    // Whoever sends without end does not keep the time from being looked at.
                    let is_late = progress == Some(Progress::More)
                        && set_for.is_some_and(Moment::is_past);
                    if progress.is_none() || is_late && self.look_for_silence() {
                        return;
                    }
                    // Reading may have left something to write: TLS speaks for itself.
                    if ready.is_writable() || self.wants_write() {
                        readiness.used(Interest::WRITABLE, || !self.flush());
                    }
                }
                () = connection.wake.notified() => {
                    // A scheduler of several threads runs a woken task at once: whoever else is about to ask goes into the
                    // same write.
                    if lock(&connection.conn).as_ref().is_some_and(|conn| !conn.is_alone()) {
                        tokio::task::yield_now().await;
                    }
                    self.flush();
                }
                () = &mut timer, if set_for.is_some() => {
                    set_for = None;
                    // What has arrived is read first: a process that was stopped has not met a silent server.
                    if self.read(&mut arrived).is_none() || self.look_for_silence() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether there is something to write, and the next time-out; `None` when the connection is to end.
    fn wanted(&self) -> Option<(bool, Option<Moment>)> {
        let conn = lock(&self.connection.conn);
        let conn = conn.as_ref()?;
        let over = self.connection.ending.load(Ordering::Acquire)
            || self.connection.retired.load(Ordering::Acquire) && conn.is_idle();
        (!over).then(|| (conn.wants_write(), conn.next_timeout()))
    }

    fn wants_write(&self) -> bool {
        let conn = lock(&self.connection.conn);
        conn.as_ref().is_some_and(Conn::wants_write)
    }

    /// Writes what can be written now; whether all is. A failure shows again in the next read, behind what the server said
    /// before, and there is nothing to write until the system tells of it: whoever tried on and on would keep a runtime of
    /// one thread from ever hearing of that.
    fn flush(&self) -> bool {
        let mut conn = lock(&self.connection.conn);
        let flushed = conn
            .as_mut()
            .map(|conn| conn.flush(&mut &self.connection.socket));
        !matches!(flushed, Some(Ok(false) | Err(_)))
    }

    /// Reads what is there, and tells whoever waits for it; `None` when the connection is of no more use.
    fn read(&mut self, arrived: &mut Arrivals<Asker>) -> Option<Progress> {
        let progress = {
            let mut conn = lock(&self.connection.conn);
            let conn = conn.as_mut()?;
            let progress = conn.read(&mut &self.connection.socket, arrived);
            self.misled = conn.misled_by().map(str::to_owned);
            progress
        };
        let link = self.link.upgrade();
        let misled = self.misled.is_some();
        if let (Some(words), Some(link)) = (&self.misled, &link) {
            // Whoever asks again asks elsewhere.
            link.misled(&self.connection, words);
        }
        if !arrived.answers.is_empty()
            && progress.is_ok()
            && !misled
            && self.connection.retired.load(Ordering::Acquire)
            && let Some(link) = &link
        {
            link.reinstate(&self.connection);
        }
        for mut answered in arrived.answers.drain(..) {
            answered.waiter.tell(Ok((answered.sent, answered.replies)));
        }
        if let Some(link) = &link {
            link.on_pushes(&self.connection, &arrived.pushes);
        }
        arrived.pushes.clear();
        match progress {
            Ok(progress) if !misled => Some(progress),
            Ok(_) => None,
            Err(broken) => {
                self.broken = Some(broken);
                None
            }
        }
    }

    /// Tells those whose limit has passed; whether the connection is dead.
    fn look_for_silence(&self) -> bool {
        let now = Moment::now();
        let (overdue, is_dead) = {
            let mut conn = lock(&self.connection.conn);
            let Some(conn) = &mut *conn else { return true };
            let overdue = conn.overdue(now).into_iter();
            let overdue: Vec<_> = overdue
                .filter_map(|(asker, waited)| {
                    let (late, receiver) = oneshot::channel();
                    asker.late = Some(late);
                    Some((asker.first.take()?, receiver, waited))
                })
                .collect();
            (overdue, conn.is_dead(now))
        };
        if overdue.is_empty() {
            return is_dead;
        }
        if let Some(link) = self.link.upgrade() {
            link.suspect(self.connection.epoch);
        }
        for (asker, receiver, waited) in overdue {
            let failure = failure::unanswered(&self.connection.address, waited);
            let _ = asker.send(Told::Unanswered(failure, receiver));
        }
        is_dead
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let abandoned: Vec<Asker> = {
            let mut conn = lock(&self.connection.conn);
            let abandoned = conn.as_mut().map(Conn::abandon);
            if self.over {
                *conn = None;
            } else {
                self.connection.orphaned.store(true, Ordering::Release);
            }
            abandoned.into_iter().flatten().collect()
        };
        // First it is given up, then those who wait are told: they ask again on another one.
        if let Some(link) = self.link.upgrade() {
            if self.over {
                link.lose(self.connection.epoch);
            } else {
                link.bereave(&self.connection);
            }
        }
        let address = &self.connection.address;
        let failure = match (self.broken.take(), &self.misled) {
            (Some(broken), _) => failure::from_broken(address, broken),
            (None, Some(words)) => failure::misled(address, words),
            (None, None) => self.connection.over(),
        };
        for mut waiter in abandoned {
            waiter.tell(Err(failure.clone()));
        }
    }
}
