//! Patterns of `SCAN` and `PSUBSCRIBE`.

/// Whether `text` matches: `*` is anything, `?` one byte, `[a-c]`, `[^a]`, and a backslash takes what follows as it is.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        Some((b'?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some((b'[', rest)) => {
            let Some((byte, text)) = text.split_first() else {
                return false;
            };
            let (is_in, rest) = class(rest, *byte);
            is_in && matches(rest, text)
        }
        Some((b'\\', [escaped, rest @ ..])) => {
            text.first() == Some(escaped) && matches(rest, &text[1..])
        }
        Some((byte, rest)) => text.first() == Some(byte) && matches(rest, &text[1..]),
    }
}

/// Whether a byte is in the class that begins here, and what follows the class.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (is_inverted, mut rest) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut is_in = false;
    loop {
        rest = match rest {
            [] => return (is_in != is_inverted, rest),
            [b']', after @ ..] => return (is_in != is_inverted, after),
            [b'\\', escaped, after @ ..] => {
                is_in |= *escaped == byte;
                after
            }
            [first, b'-', last, after @ ..] => {
                is_in |= (*first.min(last)..=*first.max(last)).contains(&byte);
                after
            }
            [one, after @ ..] => {
                is_in |= *one == byte;
                after
            }
        };
    }
}
