//! The store without a server, on SQLite: `file:path.db` for every process of one machine, `memory:NAME` for one process.
//!
//! Each operation is one transaction on one connection of the process. Nobody polls: whoever gives a name back tells the next
//! waiter, directly in the same process and through an inbox in another.
//!
//! Not for network file systems, nor for a file that other code of the same process opens, be it to copy it: closing it there
//! would drop the locks that keep processes apart.

mod blocker;
mod boot_clock;
mod database;
mod file_facts;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod glob;
mod inbox;
mod news;
mod opening;
mod operations;
mod post;
mod queue;
mod registry;
mod sharing;
mod sqlite_failure;
mod system;
mod transaction;
mod upkeep;
mod url;
mod work;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use self::database::{Database, Tried};
use self::inbox::Inbox;
use self::sqlite_failure::from_io;
use self::transaction::Access;
use self::url::Location;
use self::work::Work;
use super::{
    Ask, Asked, AtOnce, BoxFuture, Cursor, Failure, Listener, Ownership, Page, Quick, Releaser,
    Renewal, Renewed, Standing, Store,
};
use crate::claim::Claim;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result as CoreResult};
use crate::fork;
use crate::lock_info::LockInfo;
use crate::name::LockId;
use crate::sync;

/// Renewals of one transaction: more of them keep others waiting.
const RENEWALS_AT_ONCE: usize = 256;
/// More renewals than this are too many for a caller's thread.
const RENEWALS_IN_PLACE: usize = 64;

/// The store as one client sees it.
pub(crate) struct EmbeddedStore {
    location: Location,
    client_id: Arc<str>,
    timeout: Duration,
    listener: Listener,
    session: Mutex<Session>,
}

/// What a client has opened of its store.
#[derive(Default)]
struct Session {
    database: Option<Attached>,
    inbox: Option<Inbox>,
    /// A command has gone the async way, and so the client has a runtime for its background work.
    runs: bool,
    closed: bool,
}

struct Attached {
    database: Arc<Database>,
    /// The database's epoch when this client came.
    since: u64,
}

impl EmbeddedStore {
    /// The store of a `file:` or `memory:` URL; no file is opened yet.
    pub(crate) fn new(
        url: &str,
        client_id: Arc<str>,
        timeout: Duration,
        listener: Listener,
    ) -> CoreResult<Self> {
        if fork::was_unprepared() {
            return Err(Error::unavailable(
                "file: and memory: stores cannot be used in a process that was forked past its fork handlers (_Fork, clone)",
            ));
        }
        let store = Self {
            location: Location::parse(url)?,
            client_id,
            timeout,
            listener,
            session: Mutex::default(),
        };
        if let Location::Memory(_) = &store.location
            && !fork::is_under_way()
        {
            // It is there as long as it has a client.
            store.attach(&mut store.lock(), &store.location);
        }
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        sync::lock(&self.session)
    }

    fn attach(&self, session: &mut Session, location: &Location) -> Arc<Database> {
        let database = registry::attach(location, &self.client_id, self.listener.clone());
        session.database = Some(Attached {
            since: database.epoch(),
            database: database.clone(),
        });
        database
    }

    /// The database for an async command; the first one opens it.
    fn database(&self) -> Result<Arc<Database>, Failure> {
        let mut session = self.lock();
        if session.closed {
            return Err(Failure::unsent(Error::closed()));
        }
        session.runs = true;
        if let Some(attached) = &session.database {
            return Ok(attached.database.clone());
        }
        let location = match &self.location {
            Location::File(path) => Location::File(canonical(path).map_err(Failure::unsent)?),
            memory @ Location::Memory(_) => memory.clone(),
        };
        Ok(self.attach(&mut session, &location))
    }

    /// Writes in the caller's thread, if the client has a runtime by now and the store is free.
    fn write_in_place<T>(
        &self,
        mut operation: impl FnMut(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Option<Result<T, Failure>> {
        let database = {
            let session = self.lock();
            let attached = session.database.as_ref().filter(|_| session.runs)?;
            attached.database.clone()
        };
        match database.try_now(Access::Write, &mut operation) {
            Tried::Done(Ok(done)) => Some(Ok(done)),
            // What failed was not done, and fails again the async way, where nothing is undone in vain.
            Tried::Done(Err(_)) | Tried::Later => None,
        }
    }
}

impl EmbeddedStore {
    /// Makes sure that events arrive from now on.
    fn listen(&self) -> Result<(), Failure> {
        let database = self.database()?;
        let Some(directory) = database.post.directory() else {
            return Ok(());
        };
        let mut session = self.lock();
        if session.closed {
            return Err(Failure::unsent(Error::closed()));
        }
        if !session.inbox.as_ref().is_some_and(Inbox::is_open) {
            // The old one removes its FIFO, which has the name of the new one.
            session.inbox = None;
            let inbox = Inbox::open(directory, &self.client_id, self.listener.clone());
            session.inbox = Some(inbox.map_err(Failure::unsent)?);
        }
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn ask<'a>(
        &'a self,
        claim: &'a Arc<Claim>,
        ttl: Duration,
        ask: Ask,
    ) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(async move {
            if matches!(ask, Ask::Queue(_)) {
                self.listen()?;
            }
            let (claim, inbox) = (claim.clone(), self.client_id.clone());
            self.database()?
                .run(Access::Write, self.timeout, move |work| {
                    operations::ask(work, &claim, &inbox, ttl, ask)
                })
                .await
        })
    }

    fn release(&self, releaser: Releaser) -> BoxFuture<'_, Result<Ownership, Failure>> {
        Box::pin(async move {
            self.database()?
                .run(Access::Write, self.timeout, move |work| {
                    operations::release(work, &releaser)
                })
                .await
        })
    }

    fn renew<'a>(
        &'a self,
        renewals: &'a [Renewal],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Renewed, Failure>> {
        Box::pin(async move {
            // Whoever ends a lease elsewhere tells its holder, if there is an inbox. Without one the next renewal notices.
            let _ = self.listen();
            let database = self.database()?;
            let mut results = Vec::with_capacity(renewals.len());
            for renewals in renewals.chunks(RENEWALS_AT_ONCE) {
                let many = renewals.len() > RENEWALS_IN_PLACE;
                let renewals = renewals.to_vec();
                let renew = move |work: &mut Work<'_>| operations::renew(work, &renewals);
                let renewed = if many {
                    database
                        .run_on_worker(Access::Write, timeout, renew)
                        .await?
                } else {
                    database.run(Access::Write, timeout, renew).await?
                };
                results.extend(renewed.into_iter().map(Ok));
            }
            Ok(Renewed {
                results,
                ..Renewed::default()
            })
        })
    }

    fn inspect<'a>(&'a self, lock: &'a LockId) -> BoxFuture<'a, Result<Option<LockInfo>, Failure>> {
        Box::pin(async move {
            let lock = lock.clone();
            self.database()?
                .run(Access::Read, self.timeout, move |work| {
                    operations::inspect(work, &lock)
                })
                .await
        })
    }

    fn list<'a>(
        &'a self,
        app_id: &'a Arc<str>,
        pattern: &'a str,
        _cursor: &'a Cursor,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(async move {
            let (app_id, pattern) = (app_id.clone(), pattern.to_owned());
            let locks = self
                .database()?
                .run_on_worker(Access::Read, self.timeout, move |work| {
                    operations::list(work, &app_id, &pattern)
                })
                .await?;
            Ok(Page { locks, next: None })
        })
    }

    fn may_be_late(&self) -> bool {
        false
    }

    fn standing(&self, _lock: &LockId) -> Standing {
        let session = self.lock();
        let attached = session.database.as_ref();
        Standing::of(attached.map_or(1, |attached| attached.database.epoch()))
    }

    fn reconnects(&self) -> u64 {
        let session = self.lock();
        let attached = session.database.as_ref();
        attached.map_or(0, |attached| attached.database.epoch() - attached.since)
    }

    fn quick(&self) -> Option<&dyn Quick> {
        Some(self)
    }

    fn diagnose<'a>(&'a self, _app_id: &'a Arc<str>) -> BoxFuture<'a, Result<Diagnosis, Failure>> {
        Box::pin(self.look())
    }

    fn address(&self) -> String {
        self.location.address()
    }

    fn close(&self) {
        let mut session = self.lock();
        session.closed = true;
        let (database, inbox) = (session.database.take(), session.inbox.take());
        drop(session);
        let client_id = self.client_id.clone();
        let end = move || {
            drop(inbox);
            if let Some(attached) = database {
                registry::detach(attached.database, &client_id);
            }
        };
        if fork::is_under_way() {
            // Without a thread nothing is closed before the process ends.
            let _ = std::thread::Builder::new().spawn(end);
        } else {
            end();
        }
    }
}

impl Quick for EmbeddedStore {
    fn take_blocking(
        &self,
        claim: &Arc<Claim>,
        ttl: Duration,
        _limit: Option<Duration>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Asked, Failure>> {
        self.write_in_place(|work| operations::ask(work, claim, &self.client_id, ttl, Ask::Take))
    }

    fn release_blocking(
        &self,
        claim: &Arc<Claim>,
        _interrupted: &dyn Fn() -> bool,
    ) -> Option<Result<Ownership, Failure>> {
        let releaser = Releaser::Own(claim.clone());
        self.write_in_place(|work| operations::release(work, &releaser))
    }

    fn release_at_once(&self, claim: &Arc<Claim>) -> AtOnce {
        // Whoever drops a lease may be the one who forks.
        if fork::is_under_way() {
            return AtOnce::Unsent;
        }
        match self.release_blocking(claim, &|| false) {
            Some(answer) => AtOnce::Begun(Box::pin(std::future::ready(answer))),
            None => AtOnce::Unsent,
        }
    }
}

/// The one name of the file that `path` leads to; the file need not exist.
fn canonical(path: &Path) -> CoreResult<std::path::PathBuf> {
    if let Ok(path) = dunce::canonicalize(path) {
        return Ok(path);
    }
    let (Some(directory), Some(file)) = (path.parent(), path.file_name()) else {
        return Ok(path.to_owned());
    };
    let directory = dunce::canonicalize(directory).map_err(|error| {
        from_io(
            "the directory of the store cannot be used:",
            directory,
            &error,
        )
    })?;
    Ok(directory.join(file))
}
