//! Reading replies of RESP2 from a buffer, for the connections of our own. What a lock command never answers is refused,
//! so that a server that is none cannot make the buffer grow.

use redis::Value;

/// No reply of ours is longer: an owner has 512 bytes, and an error is a line.
const MAX_BULK: usize = 64 * 1024;
const MAX_ITEMS: usize = 64;
const MAX_DEPTH: usize = 3;
/// Several times what 64 operations in flight answer.
const BUFFER: usize = 8 * 1024;
const MAX_BUFFER: usize = 4 * MAX_BULK;

/// What is not a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

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

    /// The next reply, if it is there whole.
    pub(super) fn next(&mut self) -> Result<Option<Value>, Garbage> {
        let mut reader = Reader {
            bytes: &self.buffer[self.start..self.end],
            at: 0,
        };
        let reply = reader.value(MAX_DEPTH)?;
        if reply.is_some() {
            self.start += reader.at;
        } else if self.end - self.start >= MAX_BUFFER {
            return Err(Garbage);
        }
        Ok(reply)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
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
                Some(count) => {
                    let mut items = Vec::with_capacity(count);
                    for _ in 0..count {
                        let Some(item) = self.value(depth - 1)? else {
                            return Ok(None);
                        };
                        items.push(item);
                    }
                    Ok(Some(Value::Array(items)))
                }
            },
            _ => Err(Garbage),
        }
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Garbage> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
            return if rest.len() > MAX_BULK {
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
