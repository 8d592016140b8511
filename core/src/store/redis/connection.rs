//! A connection that a task drives: whoever asks waits for the task to read the answer.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use redis::Value;
use tokio::io::Interest;
use tokio::sync::{Notify, OnceCell, oneshot};

use super::config::Address;
use super::conn::{Arrivals, Broken, Conn, Progress};
use super::connect::Opened;
use super::link::Link;
use super::socket::{Readiness, Socket};
use super::tracking::Tracking;
use super::wire::Packed;
use super::{A_BATCH, failure};
use crate::clock::Moment;
use crate::error::Error;
use crate::store::Failure;
use crate::sync::lock;

/// Reads before a connection is closed: who sends without end does not keep it open.
const LAST_READS: usize = 64;

/// When a request was begun, and its replies.
pub(super) type Replied = Result<(Moment, Vec<Value>), Failure>;

/// What whoever waits for a request is told.
pub(super) enum Told {
    Replied(Replied),
    /// Its limit has passed; what comes after that comes by the receiver.
    Unanswered(Failure, oneshot::Receiver<Replied>),
}

/// Who waits for a request on the connection.
pub(super) struct Asker {
    first: Option<oneshot::Sender<Told>>,
    late: Option<oneshot::Sender<Replied>>,
}

impl Asker {
    fn tell(&mut self, replied: Replied) {
        // Whoever has gone does not want to know.
        if let Some(first) = self.first.take() {
            let _ = first.send(Told::Replied(replied));
        } else if let Some(late) = self.late.take() {
            let _ = late.send(replied);
        }
    }
}

/// A connection that a task drives.
pub(super) struct Connection {
    pub(super) epoch: u64,
    pub(super) address: Arc<Address>,
    /// `None` once it has ended.
    conn: Mutex<Option<Conn<Asker>>>,
    socket: Socket,
    /// There is something to write, or a time-out to look for.
    wake: Notify,
    /// Nothing new begins on it; it ends when all is answered.
    retired: AtomicBool,
    ending: AtomicBool,
    pub(super) subscribed: OnceCell<()>,
    /// The server was sent the text of the script that renews.
    pub(super) has_renewed: AtomicBool,
    pub(super) tracking: Arc<Tracking>,
    /// The server was sent the text of the script that releases.
    pub(super) has_released: AtomicBool,
    /// Its task was dropped with the runtime: nobody reads it any more, but a last release can be written.
    orphaned: AtomicBool,
}

/// A request that was begun; `None` where the connection had ended.
pub(super) type Awaited = Option<oneshot::Receiver<Told>>;

impl Connection {
    /// Nothing drives it yet.
    pub(super) fn new(
        epoch: u64,
        address: Arc<Address>,
        (conn, socket): Opened<Asker>,
    ) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            address,
            conn: Mutex::new(Some(conn)),
            socket,
            wake: Notify::new(),
            retired: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            subscribed: OnceCell::new(),
            has_renewed: AtomicBool::new(false),
            tracking: Arc::default(),
            has_released: AtomicBool::new(false),
            orphaned: AtomicBool::new(false),
        })
    }

    /// Sends a request and waits for its answer, for `limit` or the connection's patience. After that it has failed; and
    /// what the server still answers is not wanted any more.
    pub(super) async fn ask(
        &self,
        limit: Option<Duration>,
        pack: impl FnOnce(&mut Packed),
    ) -> Replied {
        self.ask_and_late(limit, pack).await.0
    }

    /// The same, where a late answer counts, too: it comes by the receiver that is there where there was none in time.
    pub(super) async fn ask_and_late(
        &self,
        limit: Option<Duration>,
        pack: impl FnOnce(&mut Packed),
    ) -> (Replied, Option<oneshot::Receiver<Replied>>) {
        let begun = self.begin(limit, pack);
        self.answer(begun).await
    }

    /// The answer to a request that was begun.
    pub(super) async fn answer(
        &self,
        begun: Awaited,
    ) -> (Replied, Option<oneshot::Receiver<Replied>>) {
        let Some(answer) = begun else {
            return (Err(Failure::unsent(self.over().error)), None);
        };
        match answer.await {
            Ok(Told::Replied(replied)) => (replied, None),
            Ok(Told::Unanswered(failure, late)) => (Err(failure), Some(late)),
            Err(_) => (Err(self.over()), None),
        }
    }

    /// Begins a request.
    pub(super) fn begin(&self, limit: Option<Duration>, pack: impl FnOnce(&mut Packed)) -> Awaited {
        self.begin_with(limit, A_BATCH, pack)
    }

    /// Begins a request and writes it in this thread: perhaps nothing runs after that.
    pub(super) fn begin_at_once(&self, pack: impl FnOnce(&mut Packed)) -> Awaited {
        self.begin_with(None, 0, pack)
    }

    /// Begins a request, and writes as much as there is where that is `at_least` so many bytes.
    fn begin_with(
        &self,
        limit: Option<Duration>,
        at_least: usize,
        pack: impl FnOnce(&mut Packed),
    ) -> Awaited {
        let (first, answer) = oneshot::channel();
        let asker = Asker {
            first: Some(first),
            late: None,
        };
        {
            let mut conn = lock(&self.conn);
            let conn = conn.as_mut().filter(|_| !self.is_orphaned())?;
            conn.begin(asker, limit, |_, out| pack(out));
            if conn.unwritten() >= at_least {
                // A failure shows again when the task reads.
                let _ = conn.flush(&mut &self.socket);
            }
        }
        self.wake.notify_one();
        Some(answer)
    }

    /// Writes a request whose answer nobody reads, on a connection whose task has gone; whether the server has it.
    pub(super) fn send_unheard(&self, pack: impl FnOnce(&mut Packed)) -> bool {
        let mut conn = lock(&self.conn);
        let Some(conn) = &mut *conn else { return false };
        let nobody = Asker {
            first: None,
            late: None,
        };
        conn.begin(nobody, None, |_, out| pack(out));
        matches!(conn.flush(&mut &self.socket), Ok(true))
    }

    fn is_orphaned(&self) -> bool {
        self.orphaned.load(Ordering::Acquire)
    }

    fn over(&self) -> Failure {
        Failure::unanswered(Error::unavailable(format!(
            "the connection to the server at {} has ended",
            self.address
        )))
    }

    /// Whether a `wait` on this connection seeded the token counter within the last second.
    pub(super) fn is_seeded(&self) -> bool {
        lock(&self.conn).as_ref().is_some_and(Conn::is_seeded)
    }

    /// Notes that a `wait` sent at `at` was answered.
    pub(super) fn set_seeded(&self, at: Moment) {
        if let Some(conn) = &mut *lock(&self.conn) {
            conn.set_seeded(at);
        }
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Nothing new is to begin on it: it ends when all is answered.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// It serves on.
    pub(super) fn reinstate(&self) {
        self.retired.store(false, Ordering::Release);
    }

    /// When something was last heard on it; `None` once it has ended.
    pub(super) fn heard(&self) -> Option<Moment> {
        lock(&self.conn).as_ref().map(Conn::heard)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Closed with something unread, a socket may take back what the server has not read yet.
        let mut space = [0; 4096];
        for _ in 0..LAST_READS {
            if !matches!((&self.socket).read(&mut space), Ok(count) if count > 0) {
                return;
            }
        }
    }
}

/// Reads and writes a connection until it ends.
pub(super) fn drive(
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
            let Some((wants_write, due)) = self.standing() else {
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
    fn standing(&self) -> Option<(bool, Option<Moment>)> {
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
    /// before.
    fn flush(&self) -> bool {
        let mut conn = lock(&self.connection.conn);
        let flushed = conn
            .as_mut()
            .map(|conn| conn.flush(&mut &self.connection.socket));
        !matches!(flushed, Some(Ok(false)))
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
        for push in arrived.pushes.drain(..) {
            if let Some(link) = &link {
                link.on_push(self.connection.epoch, &push);
            }
        }
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
