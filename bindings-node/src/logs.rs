//! Forwards what the core reports through `tracing` to the mailbox of the client it is about, for `diagnostics_channel`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError, Weak};

use napi::bindgen_prelude::Either3;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::at_exit::Remembered;
use crate::mailbox::Mailbox;
use crate::outcome;

/// Who hears of which client, by its id.
static LISTENERS: LazyLock<Mutex<HashMap<String, Weak<Mailbox>>>> = LazyLock::new(Mutex::default);

fn listeners() -> MutexGuard<'static, HashMap<String, Weak<Mailbox>>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as it lives, its mailbox hears what the core reports about its client. The client, its leases and whatever is
/// under way for it have a share in it.
pub(crate) struct Subscription {
    client: String,
    pub(crate) mailbox: Arc<Mailbox>,
    _at_exit: Remembered,
}

impl Subscription {
    pub(crate) fn new(client: &leaselock::Client, mailbox: Arc<Mailbox>) -> Arc<Self> {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            // The addon has a copy of `tracing` to itself, so nobody else can have set one.
            let _ = tracing::subscriber::set_global_default(Forward);
        });
        let at_exit = Remembered::new(client, mailbox.runtime());
        let client = client.id().to_owned();
        listeners().insert(client.clone(), Arc::downgrade(&mailbox));
        Arc::new(Self {
            client,
            mailbox,
            _at_exit: at_exit,
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        listeners().remove(&self.client);
    }
}

struct Forward;

fn wanted(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && *metadata.level() <= LevelFilter::INFO
        && metadata.target().split("::").next() == Some("leaselock")
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if wanted(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let listener = match fields.0.get("client") {
            Some(Either3::C(client)) => listeners().get(client).and_then(Weak::upgrade),
            _ => None,
        };
        if let Some(mailbox) = listener {
            mailbox.report(outcome::Event::Report { fields: fields.0 });
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

type Value = Either3<bool, f64, String>;

/// The fields of an event: truth values, numbers, and anything else as text.
#[derive(Default)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, Either3::C(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, Either3::A(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, Either3::B(value));
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "counts, and tokens, which stay below 2^53"
    )]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_f64(field, value as f64);
    }

    #[allow(clippy::cast_precision_loss, reason = "see `record_u64`")]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_f64(field, value as f64);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, Either3::C(format!("{value:?}")));
    }
}
