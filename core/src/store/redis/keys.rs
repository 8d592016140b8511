//! The names of keys and channels: wire protocol 1.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use super::slots::{self, Numbers};
use crate::error::{Error, Result};
use crate::name::{LockId, join};

const LOCK: &str = "lock||";
const QUEUE: &str = "||||queue";
const HOLDERS: &str = "||||holders";
const MAX_PREFIX_BYTES: usize = 128;

/// What stands before every key and channel, for servers on which a team has a part of the key space: `key_prefix` of the
/// URL. Empty is none, and then locks are shared with Dapr.
#[derive(Default)]
pub(super) struct Prefix {
    text: String,
    /// Whether all that belongs to a lock has to be in its slot.
    is_of_cluster: bool,
    /// It has a hash tag, so that all keys and channels are in one slot.
    has_tag: bool,
    /// What makes hash tags for locks whose braces are none: few use such names.
    numbers: OnceLock<Numbers>,
}

impl Prefix {
    /// Checks a prefix.
    pub(super) fn new(text: &str, is_of_cluster: bool) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("key_prefix {text:?} {why}")));
        if text.len() > MAX_PREFIX_BYTES {
            return Err(Error::invalid(format!(
                "key_prefix has {} bytes; it may have at most {MAX_PREFIX_BYTES}",
                text.len()
            )));
        }
        if text.chars().any(char::is_control) {
            return refused("contains a control character; use printable text");
        }
        if text.contains(['{', '}']) && slots::hash_tag(text).is_none() {
            return refused(
                "has a brace but no hash tag, which would change the slot of every key in a cluster; \
                 use no braces, or one tag such as '{team}:'",
            );
        }
        if text.contains(LOCK) {
            return refused(
                "contains 'lock||', with which the keys themselves begin; choose another",
            );
        }
        let prefix = Self {
            text: text.to_owned(),
            is_of_cluster,
            has_tag: slots::hash_tag(text).is_some(),
            numbers: OnceLock::new(),
        };
        if is_of_cluster && !prefix.has_tag {
            // Left to the first use, a fork meanwhile would have its child wait for a thread that it does not have.
            prefix.numbers();
        }
        Ok(prefix)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all keys and channels are in one slot.
    pub(super) fn has_tag(&self) -> bool {
        self.has_tag
    }

    /// The lock that `key` belongs to; `None` for a key that does not begin as those of locks do.
    pub(super) fn parse(&self, key: &str) -> Option<LockId> {
        let rest = key.strip_prefix(&self.text)?.strip_prefix(LOCK)?;
        let (app_id, name) = rest.split_once("||").unwrap_or(("", rest));
        Some(LockId::of_key(app_id.into(), name))
    }

    /// The key of the lock, the same as Dapr's `lock.redis` component uses where there is no prefix.
    pub(super) fn lock_key(&self, id: &LockId) -> String {
        let mut key = String::new();
        self.push_lock(&mut key, id);
        key
    }

    fn push_lock(&self, key: &mut String, id: &LockId) {
        key.push_str(&self.text);
        key.push_str(LOCK);
        if !id.app_id().is_empty() {
            key.push_str(id.app_id());
            key.push_str("||");
        }
        key.push_str(id.name());
    }

    fn numbers(&self) -> &Numbers {
        /// Of those who have no prefix: nearly all.
        static PLAIN: OnceLock<Numbers> = OnceLock::new();
        let numbers = if self.text.is_empty() {
            &PLAIN
        } else {
            &self.numbers
        };
        numbers.get_or_init(|| Numbers::behind(&[&self.text, LOCK].concat()))
    }

    /// A hash tag that puts a key into `slot`: `{<prefix>lock||<number>}`.
    fn push_tag(&self, key: &mut String, slot: u16) {
        // Writing to a text does not fail.
        let _ = write!(key, "{{{}{LOCK}{}}}", self.text, self.numbers().of(slot));
    }

    /// The slot in a cluster of the lock that has this key; without a cluster there is one for all.
    pub(super) fn slot(&self, lock: &str) -> u16 {
        if self.is_of_cluster {
            slots::slot(lock)
        } else {
            0
        }
    }

    /// The slot of a lock in a cluster; without a cluster there is one for all.
    pub(super) fn slot_of(&self, id: &LockId) -> u16 {
        if self.is_of_cluster {
            self.slot(&self.lock_key(id))
        } else {
            0
        }
    }

    fn fence_key(&self, app_id: &str, slot: u16) -> String {
        let fence = "||||fence";
        if self.is_of_cluster && !self.has_tag {
            let mut key = String::with_capacity(self.text.len() + app_id.len() + 32);
            self.push_tag(&mut key, slot);
            if !app_id.is_empty() {
                key.push_str("||");
                key.push_str(app_id);
            }
            key.push_str(fence);
            return key;
        }
        let fence = if app_id.is_empty() {
            &fence[2..]
        } else {
            fence
        };
        [&self.text, LOCK, app_id, fence].concat()
    }

    /// The channel of an inbox.
    pub(super) fn inbox(&self, inbox_id: &str) -> String {
        [&self.text, "lock||inbox||", inbox_id].concat()
    }

    /// The sharded channel on which a client of a cluster hears of its waiters for locks in `slot`.
    pub(super) fn inbox_of_slot(&self, client_id: &str, slot: u16) -> String {
        if self.has_tag {
            return self.inbox(client_id);
        }
        let mut channel = [&self.text, "lock||inbox||"].concat();
        self.push_tag(&mut channel, slot);
        channel.push_str("||");
        channel.push_str(client_id);
        channel
    }

    /// What stands before the name in the keys of `app_id`.
    pub(super) fn before_names(&self, app_id: &str) -> String {
        [&self.text, LOCK, &join(app_id, "")].concat()
    }

    /// A `SCAN` pattern for the locks of `app_id` whose name matches `pattern`, in which only `*` and `?` are special.
    pub(super) fn scan_pattern(&self, app_id: &str, pattern: &str) -> String {
        let mut glob = escape(&self.before_names(app_id), false);
        glob.push_str(&escape(pattern, true));
        glob
    }
}

/// The keys of one lock.
pub(super) struct Keys {
    /// The lock's queue: a sorted set of waiters. The lock's own key is part of this key.
    pub(super) queue: String,
    /// The app id's token counter; in a cluster, the one in the lock's slot.
    pub(super) fence: String,
    /// The slot of all of them in a cluster.
    pub(super) slot: u16,
    lock: Range<usize>,
}

impl Keys {
    pub(super) fn new(prefix: &Prefix, id: &LockId) -> Self {
        let length = prefix.text.len() + id.app_id().len() + id.name().len();
        let mut queue = String::with_capacity(length + 32);
        queue.push('{');
        prefix.push_lock(&mut queue, id);
        let mut lock = 1..queue.len();
        let slot = prefix.slot(&queue[lock.clone()]);
        if !queue[lock.clone()].contains(['{', '}']) {
            queue.push('}');
            queue.push_str(QUEUE);
        } else if slots::hash_tag(&queue[lock.clone()]).is_some() {
            queue.remove(0);
            queue.push_str(QUEUE);
            lock = 0..lock.end - 1;
        } else {
            // In a cluster both keys have to be in one slot, and no tag can be made of the lock's own key.
            let key = &queue[lock];
            let mut tagged = String::with_capacity(2 * prefix.text.len() + key.len() + 32);
            prefix.push_tag(&mut tagged, slots::slot(key));
            tagged.push_str(QUEUE);
            tagged.push_str("||");
            lock = tagged.len()..tagged.len() + key.len();
            tagged.push_str(key);
            queue = tagged;
        }
        Self {
            queue,
            fence: prefix.fence_key(id.app_id(), slot),
            slot,
            lock,
        }
    }

    /// The lock's own key: a string, its value the owner.
    pub(super) fn lock(&self) -> &str {
        &self.queue[self.lock.clone()]
    }

    /// The holders of the lock where it is shared: a sorted set, with the hash tag of the queue.
    pub(super) fn holders(&self) -> String {
        // What the queue's key has before the lock's own can be no more than a brace or a tag of ours.
        if self.lock.start > 1 {
            let (tag, lock) = self.queue.split_at(self.lock.start);
            let tag = tag
                .strip_suffix("||")
                .and_then(|tag| tag.strip_suffix(QUEUE));
            return [tag.unwrap_or_default(), HOLDERS, "||", lock].concat();
        }
        let tagged = self.queue.strip_suffix(QUEUE).unwrap_or_default();
        [tagged, HOLDERS].concat()
    }
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
