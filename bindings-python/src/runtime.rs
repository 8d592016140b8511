//! The runtime's thread: where waiting, renewal and asyncio's operations run. It never needs the GIL.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::{io, mem, thread};

use futures_util::task::AtomicWaker;
use tokio::runtime::{Builder, Handle};

use crate::process::lock;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A tokio runtime on one thread of its own, for as long as the process lives.
pub(crate) struct Runtime {
    handle: Handle,
    inbox: Arc<Inbox>,
}

/// Tasks on their way in. Only the first of many wakes the thread.
#[derive(Default)]
struct Inbox {
    tasks: Mutex<Vec<Task>>,
    waker: AtomicWaker,
}

impl Runtime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let inbox = Arc::new(Inbox::default());
        let tasks = Arc::clone(&inbox);
        thread::Builder::new()
            .name("leaselock".into())
            .spawn(move || runtime.block_on(take_in(&tasks)))?;
        Ok(Self { handle, inbox })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a task on the thread.
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
