//! The core's tracing events, as records of the Python logger `leaselock`.

use std::fmt::{Debug, Write};

use pyo3::prelude::*;
use pyo3::types::PyDict;

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
        let mut entry = Entry::new(level);
        event.record(&mut entry);
        process::current().events.push(events::Event::Log(entry));
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

/// What becomes a record.
pub(crate) struct Entry {
    level: i32,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

#[derive(IntoPyObject)]
enum Value {
    Flag(bool),
    Number(i64),
    Large(u64),
    Float(f64),
    Text(String),
}

impl Entry {
    fn new(level: i32) -> Self {
        Self {
            level,
            message: String::new(),
            fields: Vec::new(),
        }
    }

    /// Python's number of the level, the message, the fields as text (`, field=value, field=value`), and by name.
    pub(crate) fn into_python(
        self,
        py: Python<'_>,
    ) -> PyResult<(i32, String, String, Bound<'_, PyDict>)> {
        let mut text = String::new();
        let fields = PyDict::new(py);
        for (name, value) in self.fields {
            // Writing to a String does not fail.
            let _ = match &value {
                Value::Flag(value) => write!(text, ", {name}={value}"),
                Value::Number(value) => write!(text, ", {name}={value}"),
                Value::Large(value) => write!(text, ", {name}={value}"),
                Value::Float(value) => write!(text, ", {name}={value}"),
                Value::Text(value) => write!(text, ", {name}={value}"),
            };
            fields.set_item(name, value)?;
        }
        Ok((self.level, self.message, text, fields))
    }
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((field.name(), Value::Text(text)));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::Flag(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::Number(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Large(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), Value::Float(value)));
    }
}
