//! Spans of `tracing`: one for each acquire and one for each lease, children of the caller's, with how they ended.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use leaselock::{Client, blocking};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// A span that has ended, or not.
#[derive(Clone, Debug, Default)]
struct Span {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    parent: Option<u64>,
    is_closed: bool,
}

static SPANS: LazyLock<Mutex<HashMap<u64, Span>>> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Collector::default()).expect("the only one");
    Mutex::default()
});

thread_local! {
    static ENTERED: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// What a subscriber that makes traces does with spans.
#[derive(Default)]
struct Collector {
    last: AtomicU64,
    references: Mutex<HashMap<u64, u32>>,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            Interest::always()
        } else {
            Interest::never()
        }
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut span = Span {
            name: attributes.metadata().name(),
            parent: ENTERED.with_borrow(|entered| entered.last().copied()),
            ..Span::default()
        };
        attributes.record(&mut span);
        SPANS.lock().unwrap().insert(id, span);
        self.references.lock().unwrap().insert(id, 1);
        Id::from_u64(id)
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(span) = SPANS.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(span);
        }
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }
    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
    fn clone_span(&self, id: &Id) -> Id {
        *self
            .references
            .lock()
            .unwrap()
            .get_mut(&id.into_u64())
            .unwrap() += 1;
        id.clone()
    }
    fn try_close(&self, id: Id) -> bool {
        let id = id.into_u64();
        let mut references = self.references.lock().unwrap();
        let left = references.get_mut(&id).unwrap();
        *left -= 1;
        let is_over = *left == 0;
        if is_over {
            SPANS.lock().unwrap().get_mut(&id).unwrap().is_closed = true;
        }
        is_over
    }
}

/// The spans of an app id, in the order in which they began.
fn spans(app_id: &str) -> Vec<Span> {
    let mut found: Vec<_> = SPANS
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, span)| span.fields.get("app_id").is_some_and(|it| it == app_id))
        .map(|(id, span)| (*id, span.clone()))
        .collect();
    found.sort_by_key(|(id, _)| *id);
    found.into_iter().map(|(_, span)| span).collect()
}

fn builder(app_id: &str) -> leaselock::ClientBuilder {
    LazyLock::force(&SPANS);
    Client::builder()
        .url(format!("memory:{app_id}"))
        .app_id(app_id)
}

#[test]
fn a_blocking_acquire_and_its_lease_are_children_of_the_callers_span() {
    let app_id = "spans-blocking";
    let client: blocking::Client = builder(app_id).build_blocking().unwrap();
    let request = tracing::info_span!("request");
    let (owner, token) = request.in_scope(|| {
        let lease = client.acquire("n").call().unwrap();
        let open = spans(app_id);
        assert_eq!(open.len(), 2);
        assert!(open[0].is_closed);
        assert!(!open[1].is_closed);
        assert!(client.try_acquire("n").call().unwrap().is_none());
        let late = client.acquire("n").wait(Duration::from_millis(50));
        late.call().unwrap_err();
        let known = (lease.owner().to_owned(), lease.token().to_string());
        assert!(lease.release().unwrap());
        known
    });
    let found = spans(app_id);
    let told: Vec<_> = found
        .iter()
        .map(|span| (span.name, span.fields["outcome"].as_str()))
        .collect();
    let expected = [
        ("acquire", "acquired"),
        ("lease", "released"),
        ("acquire", "busy"),
        ("acquire", "timed_out"),
    ];
    assert_eq!(told, expected);
    let parent = request.id().map(|id| id.into_u64());
    assert!(found.iter().all(|span| span.is_closed));
    assert!(found.iter().all(|span| span.parent == parent), "{found:?}");
    for span in &found[..2] {
        assert_eq!(span.fields["name"], "n");
        assert_eq!(span.fields["owner"], owner);
        assert_eq!(span.fields["token"], token);
        assert_eq!(span.fields["client"], client.id());
    }
    assert_eq!(found[0].fields["contended"], "false");
}

#[tokio::test]
async fn an_async_acquire_has_the_span_of_its_task_as_parent_and_a_loss_says_why() {
    use tracing::Instrument;
    let app_id = "spans-async";
    let client = builder(app_id).build().unwrap();
    let request = tracing::info_span!("request");
    let work = async {
        let ttl = Duration::from_millis(100);
        let lease = client.acquire("n").ttl(ttl).renew(false).await.unwrap();
        lease.lost().await;
        let dropped = client.acquire("n").await.unwrap();
        drop(dropped);
        client.acquire("n").await.unwrap().detach();
        let never = tokio::time::timeout(Duration::from_millis(20), client.acquire("n"));
        never.await.unwrap_err();
    };
    work.instrument(request.clone()).await;
    client.settled().await;
    let found = spans(app_id);
    let told: Vec<_> = found
        .iter()
        .map(|span| (span.name, span.fields["outcome"].as_str()))
        .collect();
    let expected = [
        ("acquire", "acquired"),
        ("lease", "lost"),
        ("acquire", "acquired"),
        ("lease", "released"),
        ("acquire", "acquired"),
        ("lease", "detached"),
        ("acquire", "cancelled"),
    ];
    assert_eq!(told, expected);
    assert_eq!(found[1].fields["reason"], "expired");
    let parent = request.id().map(|id| id.into_u64());
    assert!(found.iter().all(|span| span.is_closed));
    assert!(found.iter().all(|span| span.parent == parent), "{found:?}");
}

#[tokio::test]
async fn a_failed_acquire_says_its_error() {
    let app_id = "spans-failed";
    let client = builder(app_id)
        .url("redis://127.0.0.1:1")
        .command_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    client.acquire("n").await.unwrap_err();
    let found = spans(app_id);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].fields["outcome"], "failed");
    assert_eq!(found[0].fields["error"], "STORE_UNAVAILABLE");
}
