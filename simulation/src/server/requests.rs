//! Requests as clients send them: arrays of texts, or a line.

use super::words::Words;

/// No request of a lock client is longer.
const MOST_WORDS: i64 = 1024 * 1024;
const MOST_BYTES: i64 = 512 * 1024 * 1024;
const LONGEST_LINE: usize = 64 * 1024;

/// What a connection has sent and what is not yet carried out.
#[derive(Debug, Default)]
pub(super) struct Requests {
    bytes: Vec<u8>,
    start: usize,
}

/// What stands at the beginning of what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A command, whose words were read.
    Command,
    /// The rest has not come yet.
    Incomplete,
    /// It is no request: the server says so and hangs up.
    Garbage(String),
}

impl Requests {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether there is something that may be a request.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Goes back to where a command began.
    pub(super) fn rewind(&mut self, position: usize) {
        self.start = position;
    }

    /// Reads the next command into `words`.
    pub(super) fn next(&mut self, words: &mut Words) -> Next {
        loop {
            words.clear();
            let mut reader = Reader {
                bytes: &self.bytes,
                at: self.start,
            };
            let next = reader.command(words);
            if matches!(next, Next::Command) {
                self.start = reader.at;
                // An empty line, or an array of nothing, asks for nothing.
                if words.is_empty() {
                    continue;
                }
            }
            return next;
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn command(&mut self, words: &mut Words) -> Next {
        match self.bytes.get(self.at) {
            None => return Next::Incomplete,
            Some(b'*') => {}
            Some(_) => return self.inline(words),
        }
        let Some(line) = self.line() else {
            return self.unended("too big mbulk count string");
        };
        let count = match number(&line[1..]) {
            Some(count) if count <= MOST_WORDS => count,
            _ => return Next::Garbage("invalid multibulk length".to_owned()),
        };
        for _ in 0..count {
            match self.bytes.get(self.at) {
                None => return Next::Incomplete,
                Some(b'$') => {}
                Some(other) => {
                    let other = char::from(*other);
                    return Next::Garbage(format!("expected '$', got '{other}'"));
                }
            }
            let Some(line) = self.line() else {
                return self.unended("too big bulk count string");
            };
            let length = match number(&line[1..]) {
                Some(length) if (0..=MOST_BYTES).contains(&length) => length,
                _ => return Next::Garbage("invalid bulk length".to_owned()),
            };
            let length = usize::try_from(length).unwrap_or(0);
            let Some(word) = self.bytes.get(self.at..self.at + length + 2) else {
                return Next::Incomplete;
            };
            words.push(&word[..length]);
            self.at += length + 2;
        }
        Next::Command
    }

    fn inline(&mut self, words: &mut Words) -> Next {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return self.unended("too big inline request");
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        for word in line.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                words.push(word);
            }
        }
        self.at += end + 1;
        Next::Command
    }

    fn unended(&self, what: &str) -> Next {
        if self.bytes.len() - self.at > LONGEST_LINE {
            Next::Garbage(what.to_owned())
        } else {
            Next::Incomplete
        }
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\r')?;
        rest.get(end + 1)?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    super::numbers::integer(digits)
}
