//! Reading what a server sends in RESP3 from a buffer: replies and pushed messages. What no command of a lock client is
//! answered with is refused, so that a server that is none cannot make the buffer grow.

use redis::Value;

/// A status, an error or a number is shorter than this.
const MAX_LINE: usize = 64 * 1024;
/// The longest text is that of INFO, which has some 10 KiB.
const MAX_BULK: usize = 256 * 1024;
/// A step of SCAN finds some 500 keys.
const MAX_ITEMS: usize = 16 * 1024;
/// HELLO lists modules with their arguments: a map of lists of maps of lists.
const MAX_DEPTH: usize = 4;
/// Several times what 64 operations in flight answer.
const BUFFER: usize = 8 * 1024;
const MAX_BUFFER: usize = 4 * MAX_BULK;

/// What is not a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// What a server sends.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// The reply to a command.
    Reply(Value),
    /// A message that no command asked for in this moment: its kind first.
    Push(Vec<Value>),
}

/// Bytes from the server, and how far they are read.
pub(super) struct Replies {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
        }
    }

    /// Takes in what was read elsewhere than from a socket.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = bytes.len().min(space.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    /// Where to put what is read next; then [`filled`](Self::filled).
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize(self.end * 2, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes of the space were filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// The next reply or message, if it is there whole.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Garbage> {
        let mut reader = Reader {
            bytes: &self.buffer[self.start..self.end],
            at: 0,
        };
        let incoming = reader.incoming()?;
        if incoming.is_some() {
            self.start += reader.at;
        } else if self.end - self.start >= MAX_BUFFER {
            return Err(Garbage);
        }
        Ok(incoming)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn incoming(&mut self) -> Result<Option<Incoming>, Garbage> {
        if self.bytes.get(self.at) != Some(&b'>') {
            return Ok(self.value(MAX_DEPTH)?.map(Incoming::Reply));
        }
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let count = length(&line[1..], MAX_ITEMS)?.ok_or(Garbage)?;
        Ok(self.items(count, MAX_DEPTH - 1)?.map(Incoming::Push))
    }

    fn items(&mut self, count: usize, depth: usize) -> Result<Option<Vec<Value>>, Garbage> {
        // The count is the server's word; the memory grows with what is really there.
        let mut items = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            let Some(item) = self.value(depth)? else {
                return Ok(None);
            };
            items.push(item);
        }
        Ok(Some(items))
    }

    /// One value; `None` when it is not there whole yet.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Garbage> {
        let begin = self.at;
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (kind, rest) = line.split_first().ok_or(Garbage)?;
        match kind {
            b'+' if rest == b"OK" => Ok(Some(Value::Okay)),
            b'+' => Ok(Some(Value::SimpleString(text(rest)?.to_owned()))),
            b':' => Ok(Some(Value::Int(number(rest)?))),
            // A score.
            b',' => Ok(Some(Value::Double(
                text(rest)?.parse().map_err(|_| Garbage)?,
            ))),
            // An error's code and words are for the library to tell apart.
            b'-' => redis::parse_redis_value(&self.bytes[begin..self.at])
                .map(Some)
                .map_err(|_| Garbage),
            b'$' => match length(rest, MAX_BULK)? {
                None => Ok(Some(Value::Nil)),
                Some(length) => Ok(self
                    .take(length)?
                    .map(|bulk| Value::BulkString(bulk.to_vec()))),
            },
            b'*' => match length(rest, MAX_ITEMS)? {
                None => Ok(Some(Value::Nil)),
                Some(_) if depth == 0 => Err(Garbage),
                Some(count) => Ok(self.items(count, depth - 1)?.map(Value::Array)),
            },
            b'%' => match length(rest, MAX_ITEMS / 2)? {
                None => Err(Garbage),
                Some(_) if depth == 0 => Err(Garbage),
                Some(count) => Ok(self.items(count * 2, depth - 1)?.map(|items| {
                    let mut pairs = Vec::with_capacity(count);
                    let mut items = items.into_iter();
                    while let (Some(key), Some(value)) = (items.next(), items.next()) {
                        pairs.push((key, value));
                    }
                    Value::Map(pairs)
                })),
            },
            b'_' if rest.is_empty() => Ok(Some(Value::Nil)),
            // `txt:` stands before the text, which INFO answers with.
            b'=' => match length(rest, MAX_BULK)? {
                None => Err(Garbage),
                Some(length) => Ok(self
                    .take(length)?
                    .map(|text| Value::BulkString(text.get(4..).unwrap_or_default().to_vec()))),
            },
            _ => Err(Garbage),
        }
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Garbage> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
            return if rest.len() > MAX_LINE {
                Err(Garbage)
            } else {
                Ok(None)
            };
        };
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(Garbage),
        }
    }

    fn take(&mut self, length: usize) -> Result<Option<&'a [u8]>, Garbage> {
        let Some(rest) = self.bytes.get(self.at..self.at + length + 2) else {
            return Ok(None);
        };
        let bulk = rest.strip_suffix(b"\r\n").ok_or(Garbage)?;
        self.at += length + 2;
        Ok(Some(bulk))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Garbage> {
    std::str::from_utf8(bytes).map_err(|_| Garbage)
}

fn number(digits: &[u8]) -> Result<i64, Garbage> {
    text(digits)?.parse().map_err(|_| Garbage)
}

/// A length of at most `max`; `None` is nil.
fn length(digits: &[u8], max: usize) -> Result<Option<usize>, Garbage> {
    match number(digits)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= max => Ok(Some(length)),
            _ => Err(Garbage),
        },
    }
}

#[cfg(test)]
mod tests;
