//! The names of keys and channels: wire protocol 1.

use std::ops::Range;

use crate::name::{LockId, has_hash_tag, join};

const PREFIX: &str = "lock||";

/// The keys of one lock.
pub(super) struct Keys {
    /// The lock's queue: a sorted set of waiters. The lock's own key is part of this key.
    pub(super) queue: String,
    /// The app id's token counter.
    pub(super) fence: String,
    lock: Range<usize>,
}

impl Keys {
    pub(super) fn new(id: &LockId) -> Self {
        let mut queue = String::with_capacity(id.app_id().len() + id.name().len() + 32);
        queue.push('{');
        push_lock(&mut queue, id);
        let mut lock = 1..queue.len();
        queue.push_str("}||||queue");
        if has_hash_tag(&queue[lock.clone()]) {
            queue.remove(lock.end);
            queue.remove(0);
            lock = 0..lock.end - 1;
        }
        Self {
            queue,
            fence: fence_key(id.app_id()),
            lock,
        }
    }

    /// The lock's own key: a string, its value the owner.
    pub(super) fn lock(&self) -> &str {
        &self.queue[self.lock.clone()]
    }
}

/// The key of the lock, the same as Dapr's `lock.redis` component uses.
pub(super) fn lock_key(id: &LockId) -> String {
    let mut key = String::new();
    push_lock(&mut key, id);
    key
}

fn push_lock(key: &mut String, id: &LockId) {
    key.push_str(PREFIX);
    if !id.app_id().is_empty() {
        key.push_str(id.app_id());
        key.push_str("||");
    }
    key.push_str(id.name());
}

/// The lock that `key` belongs to; `None` for a key that does not begin as those of locks do.
pub(super) fn parse(key: &str) -> Option<LockId> {
    let rest = key.strip_prefix(PREFIX)?;
    let (app_id, name) = rest.split_once("||").unwrap_or(("", rest));
    Some(LockId::of_key(app_id.into(), name))
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
