//! The core's tracing events, as records of the Python logger `leaselock`.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{events, process};

/// Python's own numbers: logging.ERROR, logging.WARNING, logging.INFO.
const ERROR: i32 = 40;
const WARNING: i32 = 30;
const INFO: i32 = 20;

/// Sends the core's events to Python. Another copy of the core in this process has its own.
pub(crate) fn install() {
    // Refused only when it has been done, which a second import of the module would be.
    let _ = tracing::subscriber::set_global_default(ToPython);
}

struct ToPython;

impl Subscriber for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::INFO
            && metadata.target().starts_with("leaselock")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => ERROR,
            Level::WARN => WARNING,
            _ => INFO,
        };
        let mut text = Text::default();
        event.record(&mut text);
        text.message.push_str(&text.fields);
        process::current()
            .events
            .push(events::Event::Log(level, text.message));
    }

    // Spans are not shown, so they are not told apart.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// `the message, field=value, field=value`
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, ", {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
