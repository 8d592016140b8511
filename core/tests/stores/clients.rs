//! The clients of a sequence, which do its steps on a store.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::common::fresh;
use super::steps::{By, CLIENTS, Step};
use super::vocabulary::{Asker, Id, Mode, NAMES, Owned};
use crate::access::ServerAccess;
use crate::claim::Claim;
use crate::limit::Limit;
use crate::lock_info::LockInfo;
use crate::name::{LockId, Name, fresh_client_id};
use crate::store::{
    self, Ask, Asked, Cursor, Event, Failure, Host, Ownership, Queueing, Releaser, Renewal, Store,
};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// Or what is wrong, in words.
pub(super) type Checked<T = ()> = Result<T, String>;

/// What a store said to a step.
#[derive(Debug)]
pub(super) enum Answer {
    Nothing,
    Asked(Asked),
    Owned(Owned),
    /// Whose leases were ended by force.
    Met(Vec<Id>),
}

/// One client's store, and what it was told.
struct Player {
    client_id: Arc<str>,
    store: Box<dyn Store>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Player {
    fn new(url: &str) -> Self {
        let client_id: Arc<str> = fresh_client_id().into();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (told, runtime) = (events.clone(), tokio::runtime::Handle::current());
        let host = Host {
            listener: Arc::new(move |event| told.lock().expect("events").push(event)),
            spawn: Arc::new(move |task| drop(runtime.spawn(task))),
        };
        let access = ServerAccess::default();
        let store = store::open(url, access, client_id.clone(), COMMAND_TIMEOUT, host);
        Self {
            client_id,
            store: store.expect("a store"),
            events,
        }
    }
}

pub(super) struct Clients {
    /// Those that ask, and the operator.
    players: Vec<Player>,
    askers: Vec<Asker>,
    claims: Vec<Arc<Claim>>,
    locks: Vec<LockId>,
}

impl Clients {
    /// Connects them all, and has their counters seeded.
    pub(super) async fn begin(url: &str, askers: &[Asker]) -> Self {
        let app_id = app_id();
        let lock = |name: &str| LockId::new(&app_id, Name::new(name).expect("a name"));
        let locks: Vec<LockId> = NAMES.iter().map(|name| lock(name)).collect();
        let claim = |(id, asker): (usize, &Asker)| {
            let lock = locks[asker.name].clone();
            Claim::fresh(lock, Some(&id.to_string()), limit(asker.mode))
        };
        let claims = askers.iter().enumerate().map(claim).collect();
        let players: Vec<Player> = (0..=CLIENTS).map(|_| Player::new(url)).collect();
        for player in &players {
            let claim = Claim::fresh(lock("first"), None, Limit::EXCLUSIVE);
            let ttl = Duration::from_secs(9);
            let asked = player.store.ask(&claim, ttl, Ask::Retake).await;
            assert!(matches!(asked, Ok(Asked::Acquired { .. })), "{asked:?}");
            let released = player.store.release(Releaser::Own(claim)).await;
            assert_eq!(released.expect("released"), Ownership::Mine);
        }
        Self {
            players,
            askers: askers.to_vec(),
            claims,
            locks,
        }
    }

    /// Does a step; `place` is where the store has told the asker that it is in the queue.
    pub(super) async fn take(&self, step: &Step, place: u64) -> Checked<Answer> {
        Ok(match *step {
            Step::Ask(id, by) => Answer::Asked(self.ask(id, by, place).await?),
            Step::Release(id) => {
                self.release(self.of(id), Releaser::Own(self.claims[id].clone()))
                    .await?
            }
            Step::Keep(id, ttl) => {
                let (claim, after) = (self.claims[id].clone(), Duration::from_millis(ttl));
                self.release(self.of(id), Releaser::Later(claim, after))
                    .await?
            }
            Step::ReleaseByHand(id) => {
                let claim = &self.claims[id];
                let owners = [claim.owner.as_bytes().into()].into();
                self.release(CLIENTS, Releaser::ByHand(claim.lock.clone(), owners))
                    .await?
            }
            Step::Renew(id, ttl, may_shorten) => {
                let renewal = Renewal {
                    claim: self.claims[id].clone(),
                    ttl: Duration::from_millis(ttl),
                    may_shorten,
                };
                let store = &self.players[CLIENTS].store;
                let all = store.renew(&[renewal], COMMAND_TIMEOUT).await;
                let whose = all.and_then(|mut all| all.results.remove(0));
                Answer::Owned(owned(whose.map_err(failed)?))
            }
            Step::Force(name) => Answer::Met(self.force(name).await?),
            Step::Leave(client) => {
                self.players[client].store.close();
                Answer::Nothing
            }
        })
    }

    fn of(&self, id: Id) -> usize {
        self.askers[id].client
    }

    async fn ask(&self, id: Id, by: By, place: u64) -> Checked<Asked> {
        let queueing = Queueing {
            place: by.names_place().then_some(place),
            may_cut: by == By::Claim,
        };
        let ask = match by {
            By::Take => Ask::Take,
            By::Retake => Ask::Retake,
            By::Wait | By::Look | By::Claim => Ask::Queue(queueing),
        };
        let (store, ttl) = (&self.players[self.of(id)].store, self.askers[id].ttl);
        let asked = store.ask(&self.claims[id], Duration::from_millis(ttl), ask);
        asked.await.map_err(failed)
    }

    async fn release(&self, client: usize, releaser: Releaser) -> Checked<Answer> {
        let whose = self.players[client].store.release(releaser).await;
        Ok(Answer::Owned(owned(whose.map_err(failed)?)))
    }

    /// Ends all leases that are met, as a client does; whose they were.
    async fn force(&self, name: usize) -> Checked<Vec<Id>> {
        let (store, lock) = (&self.players[CLIENTS].store, &self.locks[name]);
        let met = store.holders(lock).await.map_err(failed)?;
        let mut ids = Vec::new();
        for owner in &met {
            let owner = std::str::from_utf8(owner).map_err(|error| error.to_string())?;
            ids.push(self.id_of(owner)?);
        }
        if !met.is_empty() {
            let whose = store.release(Releaser::ByHand(lock.clone(), met.into()));
            let whose = whose.await.map_err(failed)?;
            if whose != Ownership::Mine {
                return Err(format!("{ids:?} held it, and it was {whose:?}"));
            }
        }
        Ok(ids)
    }
}

impl Clients {
    pub(super) fn client_id(&self, client: usize) -> &str {
        &self.players[client].client_id
    }

    /// What this client has been told since it was asked for the last time. All that was sent to it before its last look has
    /// arrived.
    pub(super) fn news(&self, client: usize) -> Vec<Event> {
        std::mem::take(&mut *self.players[client].events.lock().expect("events"))
    }

    /// A look at one name.
    pub(super) async fn look(&self, client: usize, name: usize) -> Checked<Option<LockInfo>> {
        let found = self.players[client].store.inspect(&self.locks[name]).await;
        found.map_err(failed)
    }

    /// All that is listed.
    pub(super) async fn list(&self) -> Checked<Vec<LockInfo>> {
        let (store, app_id) = (&self.players[CLIENTS].store, self.locks[0].app_id());
        let (mut listed, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(at) = cursor {
            let page = store.list(app_id, "*", &at).await.map_err(failed)?;
            listed.extend(page.locks);
            cursor = page.next;
        }
        Ok(listed)
    }

    /// Whose owner this is.
    pub(super) fn id_of(&self, owner: &str) -> Checked<Id> {
        let found = self.claims.iter().position(|claim| *claim.owner == *owner);
        found.ok_or_else(|| format!("{owner:?} is nobody's owner"))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for player in &self.players {
            player.store.close();
        }
    }
}

fn limit(mode: Mode) -> Limit {
    match mode {
        Mode::Alone => Limit::EXCLUSIVE,
        Mode::Shared => Limit::SHARED,
        Mode::Permits(most) => Limit::checked(false, Some(most)),
    }
}

/// A fresh one, of which no two names are taken for one another where a server's store notes which are held.
fn app_id() -> Arc<str> {
    loop {
        let app_id: Arc<str> = fresh().into();
        let slot = |name: &str| {
            let lock = LockId::new(&app_id, Name::new(name).expect("a name"));
            BuildHasherDefault::<DefaultHasher>::default().hash_one(&lock) % 256
        };
        if slot(NAMES[0]) != slot(NAMES[1]) {
            return app_id;
        }
    }
}

fn owned(ownership: Ownership) -> Owned {
    match ownership {
        Ownership::Mine => Owned::Mine,
        Ownership::MineForLonger => Owned::MineForLonger,
        Ownership::Nobody => Owned::Nobodys,
        Ownership::Other => Owned::Others,
    }
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn failed(failure: Failure) -> String {
    format!("it failed: {}", failure.error)
}
