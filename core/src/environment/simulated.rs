//! What a simulation gives to the clients of its thread in place of the system's. Threads without a simulation have the system's.

use std::cell::RefCell;
use std::future::Future;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::platform;

/// How maps hash whose order shows: the same each time.
pub(crate) type Hashing = BuildHasherDefault<DefaultHasher>;

/// What a simulation decides for the clients of a thread.
pub trait Environment {
    /// The time of the clock that leases go by.
    fn since_boot(&self) -> Duration;

    /// Fills `bytes` with what stands for randomness.
    fn fill(&self, bytes: &mut [u8]);

    /// Begins a connection to a server. The code of whoever runs when this is called connects.
    fn connect(&self, host: &str, port: u16) -> Arc<dyn Stream>;

    /// The gate that the tasks have to pass which are spawned by the code that runs just now.
    fn gate(&self) -> Option<Arc<dyn Gate>>;
}

/// One end of a connection. What would block fails with [`io::ErrorKind::WouldBlock`].
pub trait Stream: Send + Sync {
    /// Completes when the connection was made, or could not be.
    fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what has arrived; nothing at the end.
    fn read(&self, space: &mut [u8]) -> io::Result<usize>;

    /// Writes.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Completes when something can be read, or, where that is wanted, written.
    fn poll_ready(&self, wants_write: bool, context: &mut Context<'_>) -> Poll<()>;
}

/// What holds back the tasks of a process that is stopped.
pub trait Gate: Send + Sync {
    /// Whether a task may go on now. Where it may, its code runs as one of this gate until [`leave`](Self::leave); where it may not, it
    /// is woken later.
    fn pass(&self, context: &mut Context<'_>) -> bool;

    /// The task has gone on as far as it came.
    fn leave(&self);
}

thread_local! {
    static HERE: RefCell<Option<Rc<dyn Environment>>> = const { RefCell::new(None) };
}

/// Puts what was there before back when it is dropped.
pub struct Entered(Option<Rc<dyn Environment>>);

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

/// From now on the clients of this thread have `environment`.
#[must_use]
pub fn enter(environment: Rc<dyn Environment>) -> Entered {
    Entered(HERE.replace(Some(environment)))
}

fn here() -> Option<Rc<dyn Environment>> {
    HERE.with_borrow(Clone::clone)
}

pub(crate) fn since_boot() -> Duration {
    here().map_or_else(platform::since_boot, |here| here.since_boot())
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    match here() {
        Some(here) => {
            here.fill(bytes);
            Ok(())
        }
        None => getrandom::fill(bytes),
    }
}

/// A connection of the simulation's, where there is one.
pub(crate) fn simulated_stream(host: &str, port: u16) -> Option<Arc<dyn Stream>> {
    Some(here()?.connect(host, port))
}

/// A task of a client, as it is to be spawned.
pub(crate) fn task<F: Future>(task: F) -> Gated<F> {
    Gated {
        task: Box::pin(task),
        gate: here().and_then(|here| here.gate()),
    }
}

/// A task behind a gate.
pub(crate) struct Gated<F> {
    task: Pin<Box<F>>,
    gate: Option<Arc<dyn Gate>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(gate) = self.gate.clone() else {
            return self.task.as_mut().poll(context);
        };
        if !gate.pass(context) {
            return Poll::Pending;
        }
        let polled = self.task.as_mut().poll(context);
        gate.leave();
        polled
    }
}
