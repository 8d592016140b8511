//! What a server publishes, found among all else that it sends by RESP3.

/// A message on a channel, and one on a sharded channel, as far as they are all alike.
const HEADS: [&[u8]; 2] = [b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n"];

/// The bytes without the messages that are whole among them.
pub(crate) fn without(bytes: &[u8]) -> Vec<u8> {
    let mut left = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let message = HEADS
            .iter()
            .find(|head| bytes[at..].starts_with(head))
            .and_then(|head| bulk(bytes, at + head.len()))
            .and_then(|channel_end| bulk(bytes, channel_end));
        if let Some(end) = message {
            at = end;
        } else {
            left.push(bytes[at]);
            at += 1;
        }
    }
    left
}

/// Where the text that begins at `at`, as `$3\r\nabc\r\n`, ends.
fn bulk(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?.strip_prefix(b"$")?;
    let digits = rest.iter().position(|byte| *byte == b'\r')?;
    let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let end = at + 1 + digits + 2 + length + 2;
    (end <= bytes.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn messages_are_left_out_and_replies_are_not() {
        let reply = b"*2\r\n+OK\r\n:7\r\n";
        let message = b">3\r\n$8\r\nsmessage\r\n$5\r\ninbox\r\n$7\r\n1|grant\r\n";
        let all = [
            &reply[..],
            message,
            b">2\r\n$10\r\ninvalidate\r\n_\r\n",
            message,
        ]
        .concat();
        assert_eq!(
            without(&all),
            [&reply[..], b">2\r\n$10\r\ninvalidate\r\n_\r\n"].concat()
        );
        // One of which the rest is still under way stays.
        let half = &message[..message.len() - 3];
        assert_eq!(without(half), half);
    }
}
