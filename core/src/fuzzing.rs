//! What reads text and bytes of others, for programs that feed it with any. Each panics where something is read as it may not be.

use crate::name::{self, Name};
pub use crate::store::fuzzing::{inbox, replies, url};

/// A line for each: a name, an app id, a label, an owner and a pattern.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut fields = text.split('\n');
    let mut field = || fields.next().unwrap_or_default();
    let (of_lock, app_id, label, owner, pattern) = (field(), field(), field(), field(), field());
    let _ = name::check_owner(owner);
    if name::check_label(label).is_ok() {
        let fresh = name::fresh_owner(Some(label));
        assert!(name::check_owner(&fresh).is_ok(), "{fresh:?}");
    }
    if let Ok(read) = Name::new(of_lock)
        && name::check_app_id(app_id).is_ok()
        && name::check_pattern(pattern).is_ok()
    {
        crate::store::fuzzing::keys(app_id, read, pattern);
    }
}
