//! An acquire that waits for long says so once: what it waits for, who holds it, and whether that is this very process.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use leaselock::{Client, blocking};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::common::{Server, fresh, ms, until};
use crate::{APP, client_at, keys, sleep};

/// What was told.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    fields: HashMap<&'static str, String>,
}

impl Told {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

static TOLD: LazyLock<Arc<Mutex<Vec<Told>>>> = LazyLock::new(|| {
    let told = Arc::default();
    tracing::subscriber::set_global_default(Listener(Arc::clone(&told))).expect("the only one");
    told
});

struct Listener(Arc<Mutex<Vec<Told>>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "leaselock"
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told {
            level: *event.metadata().level(),
            fields: HashMap::new(),
        };
        event.record(&mut told);
        self.0.lock().expect("unbroken").push(told);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What was told of waits for the lock `name`.
fn told(name: &str) -> Vec<Told> {
    let all = TOLD.lock().expect("unbroken");
    let of_it = all
        .iter()
        .filter(|told| told.field("event") == "waiting" && told.field("name") == name);
    of_it.cloned().collect()
}

/// Waits until as much was told; and then for long enough that more would have been.
async fn told_once(name: &str) -> Told {
    until("it is told", ms(20_000), async || !told(name).is_empty()).await;
    sleep(6_000).await;
    let told = told(name);
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().expect("one")
}

fn blocking_client_at(url: &str) -> blocking::Client {
    let builder = Client::builder().url(url).app_id(APP);
    builder.build_blocking().expect("a client")
}

/// A name that the listener, which hears of every test of this program, has to itself.
fn name() -> String {
    LazyLock::force(&TOLD);
    format!("long-{}", fresh())
}

fn is_of_this_process(told: &Told, holder: &str) {
    assert_eq!(told.level, Level::WARN, "{told:?}");
    assert_eq!(told.field("holder"), holder, "{told:?}");
    assert_eq!(told.field("this_process"), "true", "{told:?}");
    assert!(told.field("message").contains("this process"), "{told:?}");
    assert!(told.field("message").contains("re-entrant"), "{told:?}");
    assert!(told.field("waited").starts_with("5."), "{told:?}");
    assert!(told.field("owner").starts_with("waiter:"), "{told:?}");
}

async fn by_this_process(url: &str) {
    let holder = client_at(url);
    let waiter = client_at(url);
    let (one, two) = (name(), name());
    let lease = holder.acquire(&one).await.expect("a lease");
    let waiting = {
        let (waiter, one) = (waiter.clone(), one.clone());
        tokio::spawn(async move { waiter.acquire(&one).label("waiter").await })
    };

    // Nested in one thread, with one client.
    let nested = {
        let (url, two) = (url.to_owned(), two.clone());
        std::thread::spawn(move || {
            let client = blocking_client_at(&url);
            let outer = client.acquire(&two).call().expect("a lease");
            let inner = client.acquire(&two).label("waiter");
            let inner = inner.wait(ms(13_000)).call();
            inner.map(drop).expect_err("it waits for itself");
            outer.owner().to_owned()
        })
    };

    is_of_this_process(&told_once(&one).await, lease.owner());
    assert!(lease.release().await.expect("an answer"));
    waiting.await.unwrap().expect("handed over");
    let outer = tokio::task::spawn_blocking(move || nested.join());
    let outer = outer.await.unwrap().expect("it ends");
    let nested = told(&two);
    assert_eq!(nested.len(), 1, "{nested:?}");
    is_of_this_process(&nested[0], &outer);
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_64_a_wait_for_ones_own_process_is_told() {
    for server in Server::each(&[]) {
        by_this_process(&server.url()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_64_a_wait_for_ones_own_process_is_told_without_a_server() {
    let path = std::env::temp_dir().join(format!("leaselock-waits-{}.db", fresh()));
    let (file, memory) = (
        format!("file:{}", path.display()),
        format!("memory:waits-{}", fresh()),
    );
    tokio::join!(by_this_process(&file), by_this_process(&memory));
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(format!("{}-inbox", path.display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_64_a_wait_for_someone_else_is_told() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let name = name();
        // An owner of no client here: another program's.
        server.run(&["SET", &keys(&name).lock, "dapr-7", "PX", "60000"]);
        let waiting = {
            let (client, name) = (client.clone(), name.clone());
            tokio::spawn(async move { client.acquire(&name).wait(ms(30_000)).await })
        };
        let told = told_once(&name).await;
        assert_eq!(told.level, Level::INFO, "{told:?}");
        assert_eq!(told.field("holder"), "dapr-7", "{told:?}");
        assert_eq!(told.field("this_process"), "false", "{told:?}");
        server.run(&["DEL", &keys(&name).lock]);
        waiting.await.unwrap().expect("free by now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_64_a_wait_through_an_outage_is_told() {
    for mut server in Server::each(&[]) {
        let client = client_at(&server.url());
        let name = name();
        server.run(&["SET", &keys(&name).lock, "dapr-7", "PX", "60000"]);
        let waiting = {
            let (client, name) = (client.clone(), name.clone());
            tokio::spawn(async move { client.acquire(&name).await })
        };
        sleep(1_000).await;
        server.kill();
        let told = told_once(&name).await;
        assert_eq!(told.level, Level::INFO, "{told:?}");
        assert_eq!(told.field("holder"), "", "{told:?}");
        assert!(!told.field("error").is_empty(), "{told:?}");
        server.start_again();
        waiting.await.unwrap().expect("free by now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_64_a_wait_that_is_not_long_is_not_told() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let (bounded, short) = (name(), name());
        let first = client.acquire(&bounded).await.expect("a lease");
        let second = client.acquire(&short).await.expect("a lease");
        let wait = client.acquire(&bounded).wait(ms(5_000)).into_future();
        let granted = async {
            let wait = tokio::spawn(client.acquire(&short).into_future());
            sleep(4_000).await;
            assert!(second.release().await.expect("an answer"));
            wait.await.unwrap().expect("handed over")
        };
        let (outcome, granted) = tokio::join!(wait, granted);
        outcome.map(drop).expect_err("its time is over");
        sleep(3_000).await;
        assert_eq!(told(&bounded).len() + told(&short).len(), 0);
        drop((first, granted));
    }
}
