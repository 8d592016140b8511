//! What is written into an inbox: one line for each event, its fields apart by tabs.
//!
//! ```text
//! 1 <tab> grant <tab> app id <tab> name <tab> owner
//! 1 <tab> next <tab> owner <tab> milliseconds the holder has left, or '-'
//! 1 <tab> touched <tab> app id <tab> name
//! ```
//!
//! 1 is the version of these lines. No field can hold a control character. A line is shorter than what the system writes into
//! a pipe at once, so lines of several writers do not mix.

use std::time::Duration;

use crate::name::LockId;
use crate::store::{Event, Scope};

const VERSION: &str = "1";

/// The line of an event.
pub(super) fn written(event: &Event) -> Vec<u8> {
    let fields = match event {
        Event::Granted { lock, owner, .. } => {
            format!("grant\t{}\t{}\t{owner}", lock.app_id(), lock.name())
        }
        Event::Next { owner, expires_in } => {
            let left =
                expires_in.map_or_else(|| "-".to_owned(), |left| left.as_millis().to_string());
            format!("next\t{owner}\t{left}")
        }
        Event::Touched { lock } => {
            format!("touched\t{}\t{}", lock.app_id(), lock.name())
        }
        // A file has no successor.
        Event::Flushed { .. } | Event::Reset { .. } | Event::Succeeded { .. } => "reset".to_owned(),
    };
    format!("{VERSION}\t{fields}\n").into_bytes()
}

/// The event of a line, without its end; `None` for what another version says.
pub(super) fn read(line: &[u8]) -> Option<Event> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split('\t');
    if fields.next() != Some(VERSION) {
        return None;
    }
    match (fields.next()?, fields.next(), fields.next(), fields.next()) {
        ("grant", Some(app_id), Some(name), Some(owner)) => Some(Event::Granted {
            lock: LockId::of_key(app_id.into(), name),
            owner: owner.to_owned(),
            grant: None,
        }),
        ("next", Some(owner), Some(left), None) => Some(Event::Next {
            owner: owner.to_owned(),
            expires_in: left.parse().ok().map(Duration::from_millis),
        }),
        ("touched", Some(app_id), Some(name), None) => Some(Event::Touched {
            lock: LockId::of_key(app_id.into(), name),
        }),
        ("reset", ..) => Some(Event::Reset {
            scope: Scope::all(),
            is_new: false,
        }),
        _ => None,
    }
}
