//! A store's own thread, for what may have to wait. Started when it is first needed; ends with its store.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, Result};
use crate::sync;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Jobs are done one after the other.
#[derive(Default)]
pub(super) struct Worker {
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Worker {
    pub(super) fn run(&self, job: Job) -> Result<()> {
        let mut jobs = sync::lock(&self.jobs);
        let sender = match &*jobs {
            Some(sender) => sender,
            None => jobs.insert(start()?),
        };
        sender
            .send(job)
            .map_err(|_| Error::unavailable("the store's background thread has ended"))
    }
}

fn start() -> Result<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    thread::Builder::new()
        .name("leaselock-store".to_owned())
        .spawn(move || {
            for job in jobs {
                job();
            }
        })
        .map_err(|error| {
            Error::unavailable(format!("no background thread could be started: {error}"))
                .with_source(error)
        })?;
    Ok(sender)
}
