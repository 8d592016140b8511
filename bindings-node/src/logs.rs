//! Forwards what the core reports through `tracing` to the mailboxes, for `diagnostics_channel`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::mailbox::Mailbox;
use crate::outcome;

static MAILBOXES: Mutex<Vec<Weak<Mailbox>>> = Mutex::new(Vec::new());

/// From now on `mailbox` hears what the core reports.
pub(crate) fn forward_to(mailbox: &Arc<Mailbox>) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // The addon has a copy of `tracing` to itself, so nobody else can have set one.
        let _ = tracing::subscriber::set_global_default(Forward);
    });
    let mut mailboxes = MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    mailboxes.retain(|known| known.strong_count() > 0);
    mailboxes.push(Arc::downgrade(mailbox));
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
        fields
            .0
            .insert("level".to_owned(), event.metadata().level().to_string());
        event.record(&mut fields);
        let mailboxes: Vec<_> = {
            let known = MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().filter_map(Weak::upgrade).collect()
        };
        for mailbox in mailboxes {
            mailbox.report(outcome::Event::Report {
                fields: fields.0.clone(),
            });
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

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(HashMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
