//! What others have sent that a server's store reads, fed with anything.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use redis::Value;

use super::config::{Address, Config};
use super::diagnose;
use super::failure;
use super::keys::{Keys, Prefix};
use super::redirection::Redirection;
use super::reply::{Incoming, Replies};
use super::sentinels;
use super::tracking::{Arming, Tracking};
use super::wire;
use crate::access::ServerAccess;
use crate::name::{LockId, Name};
use crate::store::embedded;

/// No error says more than so many bytes of what was wrong.
const LONGEST_MESSAGE: usize = 4096;

/// All that can be read, in pieces of `size`, and whether that is all: after garbage nothing is read.
fn read(bytes: &[u8], size: usize) -> (Vec<Incoming>, bool) {
    let (mut replies, mut found) = (Replies::new(), Vec::new());
    for piece in bytes.chunks(size) {
        replies.feed(piece);
        loop {
            match replies.next() {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// What a server sends, and whatever its replies are taken for.
///
/// # Panics
/// Where something is read as it may not be, as everything here.
pub fn replies(bytes: &[u8]) {
    let (whole, is_good) = read(bytes, bytes.len().max(1));
    let size = 1 + bytes.first().map_or(0, |byte| usize::from(byte % 61));
    let (pieces, is_good_in_pieces) = read(bytes, size);
    assert_eq!(is_good, is_good_in_pieces, "in pieces of {size}");
    // A score may be no number, which equals nothing.
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    let mut values = Vec::new();
    for incoming in whole {
        match incoming {
            Incoming::Reply(value) => values.push(value),
            Incoming::Push(message) => pushed(&message),
        }
    }
    for at in 0..values.len() {
        answers(&values[at..]);
    }
}

fn pushed(message: &[Value]) {
    let _ = wire::changed(message);
    let _ = wire::unsubscribed(message);
    if let [_, _, payload] = message
        && let Some(payload) = wire::text(payload)
    {
        let _ = wire::message(payload);
    }
}

/// Whatever these may be taken for, alone and together.
fn answers(values: &[Value]) {
    let asked = Address::announced("192.0.2.1", 6379);
    let (first, few) = (&values[..1], |most: usize| {
        &values[..values.len().min(most)]
    });
    for replies in [first, few(3), few(4)] {
        short(wire::took(replies).err());
        let _ = wire::waited(replies);
        let _ = wire::released(replies);
        short(wire::inspected(replies).err());
        short(wire::scanned(replies).err());
        short(wire::held_by(replies).err());
        short(wire::met(&mut Vec::new(), replies).err());
        let _ = Redirection::of(replies, &asked);
        let tracking = Tracking::default();
        for arming in [Arming::Off, Arming::Asking, Arming::Granted] {
            let _ = tracking.begun(arming, replies);
            let _ = tracking.answered(arming, replies);
        }
    }
    let value = &values[0];
    let _ = wire::renewed(value);
    let _ = wire::field(value, "role");
    short(wire::shared_by(value, &few(3)[1..]).err());
    let mut known = wire::Sharing::default();
    if let Ok(more) = wire::shared_by(value, &few(3)[1..]) {
        known.extend(more);
        let _ = (known.next(), known.is_whole(), known.is_of_ended());
    }
    for is_of_cluster in [false, true] {
        let _ = failure::words_of_wrong_server(value, is_of_cluster);
    }
    let _ = failure::is_of_no_log_in(value);
    if let Value::ServerError(error) = value {
        short(Some(failure::from_server(error)));
        let _ = failure::is_unknown_command(error);
    }
    diagnose::fuzzing(value, SystemTime::now(), Duration::from_millis(3));
    sentinels::fuzzing(few(3), &asked);
}

fn short(error: Option<crate::Error>) {
    if let Some(error) = error {
        let length = error.message().len();
        assert!(length <= LONGEST_MESSAGE, "a message of {length} bytes");
    }
}

/// A message to an inbox.
pub(crate) fn inbox(bytes: &[u8]) {
    let payload = Value::BulkString(bytes.to_vec());
    let kind = Value::BulkString(b"message".to_vec());
    pushed(&[kind.clone(), kind, payload]);
}

/// The URL of a server. What it refuses does not show what stands before the host.
pub(crate) fn url(text: &str) {
    if let Err(error) = Config::parse(text, ServerAccess::default()) {
        let length = error.message().len();
        assert!(
            length <= LONGEST_MESSAGE + 8 * text.len(),
            "a message of {length} bytes"
        );
    }
    // The same with a password that is seen wherever it is shown.
    if let Some((scheme, rest)) = text.split_once("://")
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    {
        let password = "tell-nobody-1f6b";
        let with = format!("{scheme}://someone:{password}@{rest}");
        let said = match Config::parse(&with, ServerAccess::default()) {
            Ok(config) => format!("{} {}", config.address(), config.hosts()),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(
            !said.contains(password),
            "{with:?} shows its password: {said}"
        );
    }
}

/// The keys of a lock, of which it can be told again. A lock is listed where a file's store lists it.
#[allow(clippy::items_after_statements)]
pub(crate) fn keys(app_id: &str, name: Name, pattern: &str) {
    let app_id: Arc<str> = app_id.into();
    let text = name.to_string();
    let id = LockId::new(&app_id, name);
    // One of a cluster makes a table.
    static PREFIXES: LazyLock<Vec<(Prefix, bool)>> = LazyLock::new(|| {
        let all = [
            ("", false),
            ("p:", false),
            ("", true),
            ("p:", true),
            ("{tag}:", true),
        ];
        let prefixes = all.iter().filter_map(|(text, is_of_cluster)| {
            Some((Prefix::new(text, *is_of_cluster).ok()?, *is_of_cluster))
        });
        prefixes.collect()
    });
    for (prefix, is_of_cluster) in &*PREFIXES {
        let keys = Keys::new(prefix, &id);
        let lock = keys.lock();
        assert_eq!(lock, prefix.lock_key(&id));
        assert_eq!(prefix.parse(lock).as_ref(), Some(&id), "{lock:?}");
        assert!(lock.starts_with(&prefix.before_names(&app_id)));
        if *is_of_cluster {
            for key in [&keys.queue, &keys.fence, &keys.holders()] {
                assert_eq!(prefix.slot(key), keys.slot, "{key:?} beside {lock:?}");
            }
        }
        let _ = prefix.scan_pattern(&app_id, pattern);
    }
    assert!(embedded::fuzzing::is_listed("*", &text));
    let _ = embedded::fuzzing::is_listed(pattern, &text);
}
