//! What others have written that a file's store reads, fed with anything.

use super::glob;
use super::news;
use super::url::Location;

/// A line in an inbox.
pub(crate) fn inbox(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(event) = news::read(line) {
            // Whatever is understood can be said again.
            let written = news::written(&event);
            let written = written.strip_suffix(b"\n").unwrap_or(&written);
            assert!(news::read(written).is_some(), "{line:?}");
        }
    }
}

/// Where a store is.
pub(crate) fn url(text: &str) {
    if let Ok(location) = Location::parse(text) {
        assert!(!location.address().is_empty());
    }
}

/// Whether a name is listed by a pattern.
pub(crate) fn is_listed(pattern: &str, name: &str) -> bool {
    glob::matches(pattern, name)
}
