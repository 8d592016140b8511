//! The lane: an async client's own line, driven by a task on its runtime. An uncontended acquire or release that goes by
//! it needs no timer and no queue of its own: it is written with all others that begin meanwhile, and answered by number.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use crate::acquire::Attempt;
use crate::line::{self, Done, Line};
use crate::releasing::Turn;
use crate::shared::ClientCore as Inner;

/// A client that seldom acquires does not need a second connection.
const OPEN_AFTER: u32 = 16;
/// A line that could not be opened, or broke, is opened again no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Where a client's line is, if it has one.
#[derive(Default)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Something is to be written.
    written: Notify,
}

#[derive(Default)]
struct State {
    line: Option<Line>,
    waiting: HashMap<u64, oneshot::Sender<Done>>,
    last_id: u64,
    /// Acquires that would have used it.
    missed: u32,
    opening: bool,
    not_before: Option<Instant>,
    closed: bool,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an acquire's first command; gives the attempt back where there is no line.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        client: &Arc<Inner>,
        attempt: Box<Attempt>,
    ) -> Result<oneshot::Receiver<Done>, Box<Attempt>> {
        if attempt.is_behind_own_waiters() {
            return Err(attempt);
        }
        let mut state = self.lock();
        let Some((id, receiver)) = state.begin() else {
            if client.store.has_own_connections() && state.wants_line() {
                state.opening = true;
                drop(state);
                client.spawn(open(self.clone(), Arc::downgrade(client)));
            }
            return Err(attempt);
        };
        if let Some(line) = &mut state.line {
            line.send_attempt(id, attempt);
        }
        drop(state);
        self.written.notify_one();
        Ok(receiver)
    }

    /// Sends a release; gives the turn back where there is no line.
    pub(crate) fn release(&self, turn: Turn) -> Result<oneshot::Receiver<Done>, Turn> {
        let mut state = self.lock();
        let Some((id, receiver)) = state.begin() else {
            return Err(turn);
        };
        if let Some(line) = &mut state.line {
            line.send_release(id, turn);
        }
        drop(state);
        self.written.notify_one();
        Ok(receiver)
    }

    /// Ends the line for good.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(line) = &state.line {
            line.end();
        }
        drop(state);
        self.written.notify_one();
    }
}

impl State {
    /// A number for a new operation, if there is a line for it.
    fn begin(&mut self) -> Option<(u64, oneshot::Receiver<Done>)> {
        self.line.as_ref()?;
        self.last_id += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(self.last_id, sender);
        Some((self.last_id, receiver))
    }

    fn wants_line(&mut self) -> bool {
        self.missed = self.missed.saturating_add(1);
        !self.opening
            && !self.closed
            && self.missed > OPEN_AFTER
            && self.not_before.is_none_or(|at| at <= Instant::now())
    }
}

/// Opens the line and drives it until it ends.
async fn open(lane: Arc<Lane>, client: Weak<Inner>) {
    let mut opening = Opening {
        lane,
        pause: REOPEN_AFTER,
    };
    let opened = match client.upgrade() {
        Some(client) => line::open(&client).await,
        None => return,
    };
    // No client is held from here on: the lane ends with it.
    let Ok(Some(opened)) = opened else { return };
    let Ok(socket) = opened.fd().try_clone_to_owned() else {
        return;
    };
    // Only its readiness is of interest, and to that any socket is like another.
    let Ok(socket) = UnixStream::from_std(socket.into()) else {
        return;
    };
    opening.pause = Duration::ZERO;
    {
        let mut state = opening.lane.lock();
        if state.closed {
            return;
        }
        state.line = Some(opened);
    }
    drive(&opening.lane, &socket).await;
}

/// While the task that drives the line lives; also one that ends with its runtime leaves no line behind.
struct Opening {
    lane: Arc<Lane>,
    pause: Duration,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.opening = false;
        state.not_before = Some(Instant::now() + self.pause);
        let left = (state.line.take(), std::mem::take(&mut state.waiting));
        drop(state);
        // What was under way is undone, or goes on, in the background.
        drop(left);
    }
}

async fn drive(lane: &Lane, socket: &UnixStream) {
    let mut unwritten = false;
    loop {
        tokio::select! {
            biased;
            ready = socket.readable() => {
                if ready.is_err() {
                    return;
                }
                let mut done = Vec::new();
                let mut broken = false;
                // Either all was read that was there, or all that was asked is answered and nothing more can come: to be
                // told again when there is more.
                let _ = socket.try_io(Interest::READABLE, || {
                    let mut state = lane.lock();
                    if let State { line: Some(open), waiting, .. } = &mut *state {
                        let ended = open.on_readable().into_iter();
                        done = ended.map(|(id, done)| (waiting.remove(&id), done)).collect();
                        broken = open.is_broken();
                        // A script that the server did not know is asked for again.
                        unwritten |= open.is_unwritten();
                    }
                    Err::<(), _>(io::ErrorKind::WouldBlock.into())
                });
                for (waiter, done) in done {
                    // Whoever has gone does not want it: a lease is given back by being dropped.
                    if let Some(waiter) = waiter {
                        let _ = waiter.send(done);
                    }
                }
                if broken {
                    return;
                }
            }
            () = lane.written.notified() => {
                // A scheduler of several threads runs a woken task at once: whoever else is about to ask goes into the
                // same write.
                if lane.lock().waiting.len() > 1 {
                    tokio::task::yield_now().await;
                }
                unwritten = true;
            }
            ready = socket.writable(), if unwritten => {
                if ready.is_err() {
                    return;
                }
                let _ = socket.try_io(Interest::WRITABLE, || {
                    unwritten = lane.lock().line.as_mut().is_some_and(|open| !open.flush());
                    if unwritten {
                        Err(io::ErrorKind::WouldBlock.into())
                    } else {
                        Ok(())
                    }
                });
            }
        }
    }
}
