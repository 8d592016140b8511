//! The open stores of this process: one for each place, whatever the number of clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::database::Database;
use super::url::Location;
use crate::fork::{self, Inherited, Inside};
use crate::store::Listener;
use crate::sync;

#[derive(Default)]
struct Registry {
    open: Option<HashMap<Location, Weak<Database>>>,
    /// The stores in memory, each kept as long as it has a client, a lock or a waiter.
    memory: Vec<Arc<Database>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    open: None,
    memory: Vec::new(),
});

fn registry(_: &Inside) -> MutexGuard<'static, Registry> {
    sync::lock(&REGISTRY)
}

/// The store at `location`, which `client_id` uses from now on.
pub(super) fn attach(
    location: &Location,
    client_id: &Arc<str>,
    listener: Listener,
) -> Arc<Database> {
    let inside = fork::enter();
    let mut registry = registry(&inside);
    let Registry { open, memory } = &mut *registry;
    let known = open.get_or_insert_with(|| {
        fork::opened(&inside, Arc::new(TheRegistry));
        HashMap::default()
    });
    let database = known.get(location).and_then(Weak::upgrade);
    let database = database.unwrap_or_else(|| {
        known.retain(|_, database| database.strong_count() > 0);
        let database = Database::new(location.clone(), &inside);
        known.insert(location.clone(), Arc::downgrade(&database));
        if let Location::Memory(_) = location {
            memory.push(database.clone());
        }
        database
    });
    database.post.enter(client_id, listener);
    database
}

/// `client_id` does not use `database` any more. Stores that nobody needs then are dropped.
pub(super) fn detach(database: Arc<Database>, client_id: &Arc<str>) {
    let inside = fork::enter();
    database.post.leave(client_id);
    let mut registry = registry(&inside);
    let Registry { open, memory } = &mut *registry;
    let unused = memory
        .extract_if(.., |kept| kept.post.is_empty() && kept.found_idle(&inside))
        .collect::<Vec<_>>();
    for database in &unused {
        if let Some(open) = open {
            open.remove(database.location());
        }
    }
    drop(registry);
    // A database that is dropped comes in by itself.
    drop(inside);
    drop(unused);
    drop(database);
}

struct TheRegistry;

impl Inherited for TheRegistry {
    /// What was the parent's is neither used nor freed.
    fn close_in_child(&self, inside: &Inside) {
        if !fork::was_unprepared() {
            std::mem::forget(std::mem::take(&mut *registry(inside)));
        }
    }
}
