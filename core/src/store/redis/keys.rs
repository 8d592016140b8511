//! The names of keys and channels: wire protocol 1.

use crate::name::{LockId, has_hash_tag, join};

const PREFIX: &str = "lock||";

/// The keys of one lock.
pub(super) struct Keys {
    /// The lock itself: a string, its value the owner.
    pub(super) lock: String,
    /// Its queue: a sorted set of waiters.
    pub(super) queue: String,
    /// The app id's token counter.
    pub(super) fence: String,
}

impl Keys {
    pub(super) fn new(id: &LockId) -> Self {
        let lock = lock_key(id);
        let queue = if has_hash_tag(&lock) {
            [&lock, "||||queue"].concat()
        } else {
            ["{", &lock, "}||||queue"].concat()
        };
        Self {
            queue,
            fence: fence_key(&id.app_id),
            lock,
        }
    }
}

/// The key of the lock, the same as Dapr's `lock.redis` component uses.
pub(super) fn lock_key(id: &LockId) -> String {
    [PREFIX, &join(&id.app_id, &id.name)].concat()
}

/// The lock that a key of ours is for.
pub(super) fn parse(key: &str) -> Option<LockId> {
    let rest = key.strip_prefix(PREFIX)?;
    let (app_id, name) = rest.split_once("||").unwrap_or(("", rest));
    Some(LockId {
        app_id: app_id.into(),
        name: name.into(),
    })
}

fn fence_key(app_id: &str) -> String {
    [
        PREFIX,
        app_id,
        if app_id.is_empty() {
            "||fence"
        } else {
            "||||fence"
        },
    ]
    .concat()
}

/// The channel on which a client hears of its waiters.
pub(super) fn inbox(client_id: &str) -> String {
    ["lock||inbox||", client_id].concat()
}

/// What stands before the name in the keys of `app_id`.
pub(super) fn name_prefix(app_id: &str) -> String {
    [PREFIX, &join(app_id, "")].concat()
}

/// A `SCAN` pattern for the locks of `app_id` whose name matches `pattern`, in which only `*` and `?` are special.
pub(super) fn scan_pattern(app_id: &str, pattern: &str) -> String {
    let mut glob = escape(&name_prefix(app_id), false);
    glob.push_str(&escape(pattern, true));
    glob
}

fn escape(text: &str, wildcards: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let special = match c {
            '[' | ']' | '\\' | '^' => true,
            '*' | '?' => !wildcards,
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
