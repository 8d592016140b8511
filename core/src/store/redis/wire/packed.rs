//! Requests as bytes: commands, and calls of scripts.

use redis::Pipeline;

/// A Lua script and its hash.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(super) fn new(text: &str) -> Self {
        let text = text
            .replace(
                "--@include hand_over.lua",
                include_str!("../scripts/hand_over.lua"),
            )
            .replace(
                "--@include holders.lua",
                include_str!("../scripts/holders.lua"),
            )
            .replace(
                "--@include holder.lua",
                include_str!("../scripts/holder.lua"),
            )
            .replace("--@include token.lua", include_str!("../scripts/token.lua"));
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    /// Begins a call with these keys and this many further arguments.
    pub(super) fn call(&self, out: &mut Packed, by: By, keys: &[&str], further: usize) {
        out.command(3 + keys.len() + further);
        match by {
            By::Hash => {
                out.arg("EVALSHA");
                out.arg(&self.hash);
            }
            By::Text => {
                out.arg("EVAL");
                out.arg(&self.text);
            }
        }
        out.number(keys.len() as u64);
        for key in keys {
            out.arg(key);
        }
    }
}

/// Requests as the bytes that go to the server.
#[derive(Default)]
pub(in crate::store::redis) struct Packed {
    pub(in crate::store::redis) bytes: Vec<u8>,
    /// How many commands were packed: as many replies are to come.
    pub(in crate::store::redis) commands: usize,
}

impl From<&Pipeline> for Packed {
    fn from(pipeline: &Pipeline) -> Self {
        Self {
            bytes: pipeline.get_packed_pipeline(),
            commands: pipeline.len(),
        }
    }
}

impl Packed {
    /// Begins a command of this many words.
    pub(super) fn command(&mut self, words: usize) {
        self.commands += 1;
        self.line(b'*', words as u64);
    }

    pub(super) fn arg(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.line(b'$', bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(super) fn number(&mut self, number: u64) {
        let digits = u64::from(number.checked_ilog10().unwrap_or(0)) + 1;
        self.line(b'$', digits);
        self.digits(number);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A whole command.
    pub(in crate::store::redis) fn words(&mut self, words: &[&str]) {
        self.command(words.len());
        for word in words {
            self.arg(word);
        }
    }

    /// Commands that were packed before.
    pub(in crate::store::redis) fn append(&mut self, packed: &Self) {
        self.bytes.extend_from_slice(&packed.bytes);
        self.commands += packed.commands;
    }

    fn line(&mut self, kind: u8, number: u64) {
        self.bytes.push(kind);
        self.digits(number);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn digits(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut left = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(&digits[at..]);
    }
}

/// How a script is named: by its hash, or by its text where the server does not know the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum By {
    Hash,
    Text,
}
