//! What the core reports by `tracing`, as scenarios look at it.

use std::fmt::Debug;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static REPORTS: LazyLock<Mutex<Vec<Value>>> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Collector).expect("the only one");
    Mutex::default()
});

/// Begins to collect.
pub(crate) fn collect() {
    LazyLock::force(&REPORTS);
}

/// The fields of the first event of this kind about the lock; null where none comes within that many milliseconds.
pub(crate) fn reported(event: &str, name: &str, within: f64) -> Value {
    let give_up_at = Instant::now() + Duration::from_secs_f64(within / 1000.0);
    loop {
        let is_meant = |report: &&Value| report["event"] == event && report["name"] == name;
        let found = REPORTS.lock().unwrap().iter().find(is_meant).cloned();
        if found.is_some() || Instant::now() > give_up_at {
            return found.unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "leaselock" && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        REPORTS.lock().unwrap().push(Value::Object(fields.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }
}
