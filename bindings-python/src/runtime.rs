//! The runtime: where waiting, renewal and asyncio's operations run. It never needs the GIL.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::{io, mem};

use futures_util::task::AtomicWaker;
use leaselock::blocking::Background;

use crate::process::lock;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The runtime of a process, for as long as that lives.
pub(crate) struct Runtime {
    background: Arc<Background>,
    inbox: Arc<Inbox>,
}

/// Tasks on their way in. Only the first of many wakes the runtime.
#[derive(Default)]
struct Inbox {
    tasks: Mutex<Vec<Task>>,
    waker: AtomicWaker,
}

impl Runtime {
    pub(crate) fn start() -> io::Result<Self> {
        let background = Background::start()?;
        let inbox = Arc::new(Inbox::default());
        let tasks = Arc::clone(&inbox);
        background
            .handle()
            .spawn(async move { take_in(&tasks).await });
        Ok(Self { background, inbox })
    }

    pub(crate) fn background(&self) -> Arc<Background> {
        Arc::clone(&self.background)
    }

    /// Runs a task on it.
    pub(crate) fn submit(&self, task: impl Future<Output = ()> + Send + 'static) {
        let first = {
            let mut tasks = lock(&self.inbox.tasks);
            tasks.push(Box::pin(task));
            tasks.len() == 1
        };
        if first {
            self.inbox.waker.wake();
        }
    }
}

async fn take_in(inbox: &Inbox) {
    poll_fn(|context| {
        inbox.waker.register(context.waker());
        for task in mem::take(&mut *lock(&inbox.tasks)) {
            tokio::spawn(task);
        }
        Poll::<()>::Pending
    })
    .await;
}
