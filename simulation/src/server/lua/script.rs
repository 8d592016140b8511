//! A script as a server knows it.

use crate::server::config::Flavour;
use crate::server::reply::Refused;

/// A script: its text, and what its first line says of it.
#[derive(Debug)]
pub(in crate::server) struct Script {
    pub(in crate::server) text: Vec<u8>,
    pub(in crate::server) hash: [u8; 40],
    pub(super) flags: Flags,
    /// Where Lua begins, behind the first line if that is no Lua.
    begin: usize,
}

/// What a first line `#!lua flags=…` says.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // as they are given
pub(super) struct Flags {
    /// There is such a line.
    pub(super) is_flagged: bool,
    pub(super) is_read_only: bool,
    pub(super) allows_oom: bool,
    pub(super) allows_stale: bool,
}

/// SHA-1 in hex digits, by which a script is called.
pub(super) fn hash(text: &[u8]) -> [u8; 40] {
    let digits = sha1_smol::Sha1::from(text).digest().to_string();
    let mut hash = [0; 40];
    hash.copy_from_slice(digits.as_bytes());
    hash
}

impl Script {
    pub(super) fn new(text: &[u8], hash: [u8; 40], flavour: Flavour) -> Result<Self, Refused> {
        let (flags, begin) = read(text, flavour)?;
        Ok(Self {
            text: text.to_vec(),
            hash,
            flags,
            begin,
        })
    }

    /// What Lua compiles.
    pub(super) fn body(&self) -> &[u8] {
        &self.text[self.begin..]
    }
}

/// Reads the first line, if it is one of flags; how long it is.
fn read(text: &[u8], flavour: Flavour) -> Result<(Flags, usize), Refused> {
    let mut flags = Flags::default();
    if !text.starts_with(b"#!") {
        return Ok((flags, 0));
    }
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return Err("ERR Invalid script shebang".into());
    };
    flags.is_flagged = true;
    let line = String::from_utf8_lossy(&text[..end]);
    let mut parts = line.split(' ');
    let engine = parts.next().unwrap_or_default();
    if engine != "#!lua" {
        return Err(if flavour.is_valkey() {
            let name = engine.strip_prefix("#!").unwrap_or_default();
            format!("ERR Could not find scripting engine '{name}'").into()
        } else {
            format!("ERR Unexpected engine in script shebang: {engine}").into()
        });
    }
    for part in parts {
        let Some(named) = part.strip_prefix("flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {part}").into());
        };
        for flag in named.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => flags.is_read_only = true,
                "allow-oom" => flags.allows_oom = true,
                "allow-stale" => flags.allows_stale = true,
                "no-cluster" | "allow-cross-slot-keys" => {}
                _ => {
                    return Err(format!("ERR Unexpected flag in script shebang: {flag}").into());
                }
            }
        }
    }
    Ok((flags, end))
}
