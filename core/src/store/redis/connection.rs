//! A connection that a task drives: whoever asks waits for the task to read the answer.

mod driver;

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use redis::Value;
use tokio::sync::{Notify, OnceCell, oneshot};

pub(super) use self::driver::drive;
use super::A_BATCH;
use super::config::Address;
use super::confirming::Confirming;
use super::conn::Conn;
use super::connect::Opened;
use super::socket::Socket;
use super::tracking::Tracking;
use super::wire::Packed;
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
    pub(super) made: Moment,
    pub(super) address: Arc<Address>,
    /// `None` once it has ended.
    conn: Mutex<Option<Conn<Asker>>>,
    socket: Socket,
    /// There is something to write, or a time-out to look for.
    wake: Notify,
    /// Nothing new begins on it; it ends when all is answered.
    retired: AtomicBool,
    ending: AtomicBool,
    /// The slots of whose inboxes it hears; without a cluster there is one.
    subscribed: Mutex<HashMap<u16, Arc<OnceCell<()>>>>,
    /// The server was sent the text of the script that renews.
    pub(super) has_renewed: AtomicBool,
    pub(super) tracking: Arc<Tracking>,
    /// A renewal has written something on it.
    pub(super) has_written: AtomicBool,
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
            made: Moment::now(),
            address,
            conn: Mutex::new(Some(conn)),
            socket,
            wake: Notify::new(),
            retired: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            subscribed: Mutex::default(),
            has_renewed: AtomicBool::new(false),
            has_written: AtomicBool::new(false),
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
        self.ask_and_late(limit, None, pack).await.0
    }

    /// The same, where a late answer counts, too: it comes by the receiver that is there where there was none in time.
    pub(super) async fn ask_and_late(
        &self,
        limit: Option<Duration>,
        confirming: Option<Confirming>,
        pack: impl FnOnce(&mut Packed),
    ) -> (Replied, Option<oneshot::Receiver<Replied>>) {
        let begun = self.begin(limit, confirming, pack);
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

    /// Begins a request; what of it is to be confirmed is told by its last reply.
    pub(super) fn begin(
        &self,
        limit: Option<Duration>,
        confirming: Option<Confirming>,
        pack: impl FnOnce(&mut Packed),
    ) -> Awaited {
        self.begin_with(limit, confirming, A_BATCH, pack)
    }

    /// Begins a request and writes it in this thread: perhaps nothing runs after that.
    pub(super) fn begin_at_once(&self, pack: impl FnOnce(&mut Packed)) -> Awaited {
        self.begin_with(None, None, 0, pack)
    }

    /// Begins a request, and writes as much as there is where that is `at_least` so many bytes.
    fn begin_with(
        &self,
        limit: Option<Duration>,
        confirming: Option<Confirming>,
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
            conn.begin_confirmed(asker, limit, confirming, |_, out| pack(out));
            if conn.unwritten() >= at_least {
                // A failure shows again when the task reads.
                let _ = conn.write(&mut &self.socket);
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

    /// Whether a `wait` on this connection seeded the token counter of `slot` within the last second.
    pub(super) fn is_seeded(&self, slot: u16) -> bool {
        lock(&self.conn)
            .as_ref()
            .is_some_and(|conn| conn.is_seeded(slot))
    }

    /// Notes that a `wait` in `slot` that was sent at `at` was answered.
    pub(super) fn set_seeded(&self, slot: u16, at: Moment) {
        if let Some(conn) = &mut *lock(&self.conn) {
            conn.set_seeded(slot, at);
        }
    }

    /// When the certificate runs out that the server showed; `None` without TLS.
    pub(super) fn certificate_expiry(&self) -> Option<SystemTime> {
        lock(&self.conn).as_ref()?.certificate_expiry()
    }

    /// Whether it hears of the inbox of `slot`, once that is confirmed.
    pub(super) fn subscription(&self, slot: u16) -> Arc<OnceCell<()>> {
        lock(&self.subscribed).entry(slot).or_default().clone()
    }

    /// Of how many inboxes it hears.
    pub(super) fn subscriptions(&self) -> usize {
        lock(&self.subscribed).len()
    }

    /// The server has taken back the subscription to the inbox of `slot`.
    pub(super) fn unsubscribed(&self, slot: u16) {
        lock(&self.subscribed).remove(&slot);
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
