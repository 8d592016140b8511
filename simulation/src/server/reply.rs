//! Replies, and how they are written in either protocol.

use std::borrow::Cow;
use std::io::Write as _;

use super::config::Flavour;
use super::numbers;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Resp {
    #[default]
    Two,
    Three,
}

/// The reply to a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Status(Cow<'static, [u8]>),
    Error(Cow<'static, [u8]>),
    Int(i64),
    Bulk(Vec<u8>),
    Double(f64),
    Verbatim(String),
    Null,
    NullArray,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// It was written already, or comes later.
    Nothing,
}

/// Why a command is refused: code and words.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Cow<'static, [u8]>);

impl From<&'static str> for Refused {
    fn from(words: &'static str) -> Self {
        Self(Cow::Borrowed(words.as_bytes()))
    }
}

impl From<String> for Refused {
    fn from(words: String) -> Self {
        Self(Cow::Owned(words.into_bytes()))
    }
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Self {
        Self::Error(refused.0)
    }
}

impl Reply {
    pub(super) const OK: Self = Self::Status(Cow::Borrowed(b"OK"));

    pub(super) fn status(words: &'static str) -> Self {
        Self::Status(Cow::Borrowed(words.as_bytes()))
    }

    pub(super) fn bulk(text: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(text.into())
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A text, or none.
    pub(super) fn optional(text: Option<&[u8]>) -> Self {
        text.map_or(Self::Null, Self::bulk)
    }
}

/// Writes replies.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) resp: Resp,
    pub(super) flavour: Flavour,
}

impl Writer<'_> {
    pub(super) fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Nothing => {}
            Reply::Status(words) => self.words(b'+', words),
            Reply::Error(words) => self.words(b'-', words),
            Reply::Int(number) => {
                let _ = write!(self.out, ":{number}\r\n");
            }
            Reply::Bulk(text) => self.bulk(text),
            Reply::Double(number) => {
                let text = numbers::score(*number, self.flavour);
                match self.resp {
                    Resp::Two => self.bulk(text.as_bytes()),
                    Resp::Three => self.words(b',', text.as_bytes()),
                }
            }
            Reply::Verbatim(text) => match self.resp {
                Resp::Two => self.bulk(text.as_bytes()),
                Resp::Three => {
                    self.line(b'=', text.len() + 4);
                    self.out.extend_from_slice(b"txt:");
                    self.out.extend_from_slice(text.as_bytes());
                    self.out.extend_from_slice(b"\r\n");
                }
            },
            Reply::Null => self.null(b"$-1\r\n"),
            Reply::NullArray => self.null(b"*-1\r\n"),
            Reply::Array(items) => self.items(b'*', items),
            Reply::Map(pairs) => {
                if self.is_three() {
                    self.line(b'%', pairs.len());
                } else {
                    self.line(b'*', pairs.len() * 2);
                }
                for (key, value) in pairs {
                    self.reply(key);
                    self.reply(value);
                }
            }
        }
    }

    /// Begins a message that no command asked for, of so many parts.
    pub(super) fn push(&mut self, parts: usize) {
        self.line(if self.is_three() { b'>' } else { b'*' }, parts);
    }

    pub(super) fn array(&mut self, items: usize) {
        self.line(b'*', items);
    }

    pub(super) fn bulk(&mut self, text: &[u8]) {
        self.line(b'$', text.len());
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn is_three(&self) -> bool {
        self.resp == Resp::Three
    }

    fn items(&mut self, kind: u8, items: &[Reply]) {
        self.line(kind, items.len());
        for item in items {
            self.reply(item);
        }
    }

    fn null(&mut self, in_two: &[u8]) {
        self.out
            .extend_from_slice(if self.is_three() { b"_\r\n" } else { in_two });
    }

    fn line(&mut self, kind: u8, number: usize) {
        self.out.push(kind);
        let _ = write!(self.out, "{number}\r\n");
    }

    /// One line, whatever the words hold.
    fn words(&mut self, kind: u8, words: &[u8]) {
        self.out.push(kind);
        let as_one = |byte: &u8| match byte {
            b'\r' | b'\n' => b' ',
            other => *other,
        };
        self.out.extend(words.iter().map(as_one));
        self.out.extend_from_slice(b"\r\n");
    }
}
