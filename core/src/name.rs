//! What a name, an app id, an owner and a label may be. Checked before anything is sent.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::environment;
use crate::error::{Error, Result};

const MAX_NAME_BYTES: usize = 512;
const MAX_APP_ID_BYTES: usize = 256;
const MAX_LABEL_BYTES: usize = 128;
/// Parts of a key are joined by this, so no part may hold it.
const SEPARATOR: &str = "||";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A lock's name, checked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(Arc<str>);

impl Name {
    /// Checks `name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        check_bytes("name", name, 1, MAX_NAME_BYTES)?;
        check_separators("name", name)?;
        Ok(Self(name.into()))
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A lock's identity: its name within an app id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LockId {
    app_id: Arc<str>,
    name: Name,
}

impl LockId {
    /// The lock `name` within the checked `app_id`.
    pub(crate) fn new(app_id: &Arc<str>, name: Name) -> Self {
        Self {
            app_id: app_id.clone(),
            name,
        }
    }

    /// The lock of a key that a store names, unchecked: keys of other programs keep to no rule for names.
    pub(crate) fn of_key(app_id: Arc<str>, name: &str) -> Self {
        Self {
            app_id,
            name: Name(name.into()),
        }
    }

    /// The application the lock belongs to; empty is none.
    pub(crate) fn app_id(&self) -> &Arc<str> {
        &self.app_id
    }

    /// The lock's name.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }
}

/// Checks an app id; empty is none.
pub(crate) fn check_app_id(app_id: &str) -> Result<()> {
    check_bytes("app_id", app_id, 0, MAX_APP_ID_BYTES)?;
    check_separators("app_id", app_id)
}

/// Checks an owner given by hand.
pub(crate) fn check_owner(owner: &str) -> Result<()> {
    check_bytes("owner", owner, 1, MAX_NAME_BYTES)?;
    check_beginning("owner", owner)
}

/// Checks the label that leads an owner.
pub(crate) fn check_label(label: &str) -> Result<()> {
    check_bytes("label", label, 1, MAX_LABEL_BYTES)?;
    check_beginning("label", label)
}

/// What stores have in the place of an owner begins so where there is none, or there are many.
fn check_beginning(what: &str, text: &str) -> Result<()> {
    if text.starts_with("||") {
        return Err(Error::invalid(format!(
            "{what} {text:?} begins with '||', as no owner does; leave that out"
        )));
    }
    Ok(())
}

/// Checks a pattern of `locks`: a name in which `*` and `?` are special.
pub(crate) fn check_pattern(pattern: &str) -> Result<()> {
    check_bytes("pattern", pattern, 1, MAX_NAME_BYTES)
}

fn check_bytes(what: &str, text: &str, min: usize, max: usize) -> Result<()> {
    if text.len() < min {
        return Err(Error::invalid(format!(
            "{what} is empty; it needs {min} to {max} bytes"
        )));
    }
    if text.len() > max {
        return Err(Error::invalid(format!(
            "{what} is {} bytes long; it may have at most {max} bytes of UTF-8",
            text.len()
        )));
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(Error::invalid(format!(
            "{what} contains the control character U+{:04X}; use printable text",
            control as u32
        )));
    }
    Ok(())
}

fn check_separators(what: &str, text: &str) -> Result<()> {
    if text.contains(SEPARATOR) {
        return Err(Error::invalid(format!(
            "{what} {text:?} contains '||', which separates the parts of a key; use another separator"
        )));
    }
    if text.starts_with('|') || text.ends_with('|') {
        return Err(Error::invalid(format!(
            "{what} {text:?} begins or ends with '|', which would run into the separator '||' of a key"
        )));
    }
    Ok(())
}

/// `<app id>||<name>`, or `<name>` with no app id.
pub(crate) fn join(app_id: &str, name: &str) -> String {
    if app_id.is_empty() {
        name.to_owned()
    } else {
        [app_id, SEPARATOR, name].concat()
    }
}

/// A fresh owner: 124 bits of the system's randomness in 32 hex digits, behind `label` and a colon when there is one. The 13th
/// digit is an `f`, where a UUID has its version: so a script tells an owner of leaselock's from another program's UUID.
pub(crate) fn fresh_owner(label: Option<&str>) -> String {
    let mut owner = String::with_capacity(label.map_or(0, |label| label.len() + 1) + 32);
    if let Some(label) = label {
        owner.push_str(label);
        owner.push(':');
    }
    let mut bytes = random();
    bytes[6] |= 0xf0;
    push_hex(&mut owner, bytes);
    owner
}

/// A fresh client id, in hex.
pub(crate) fn fresh_client_id() -> String {
    let mut id = String::with_capacity(32);
    push_hex(&mut id, random());
    id
}

fn random() -> [u8; 16] {
    let mut bytes = [0u8; 16];
    // Two holders must never be taken for one: without randomness there is no safe way on.
    environment::fill(&mut bytes).expect("the system has no source of randomness");
    bytes
}

fn push_hex(text: &mut String, bytes: [u8; 16]) {
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
}
