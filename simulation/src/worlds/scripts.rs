//! Scripts with a seeded bug: a text of the real ones is replaced on the way to the server.

/// What the server is given in place of `bytes`, where those carry the text of `from`; lengths and hashes follow.
pub(crate) fn replaced(bytes: &[u8], (from, to): &(String, String)) -> Vec<u8> {
    let mut rest = bytes;
    let mut whole = Vec::with_capacity(bytes.len() + to.len());
    while let Some(at) = find(rest, from.as_bytes()) {
        // The text is in a word, which begins behind the line with its length, and has no line's end of the wire in it.
        let Some(begins) = rest[..at].windows(2).rposition(|it| it == b"\r\n") else {
            break;
        };
        let line = rest[..begins].iter().rposition(|&it| it == b'$');
        let Some(line) = line else { break };
        let ends = at + find(&rest[at..], b"\r\n").unwrap_or(rest.len() - at);
        let word = String::from_utf8_lossy(&rest[begins + 2..ends]).replace(from.as_str(), to);
        whole.extend_from_slice(&rest[..line]);
        whole.extend_from_slice(format!("${}\r\n{word}", word.len()).as_bytes());
        rest = &rest[ends..];
    }
    whole.extend_from_slice(rest);
    whole
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|it| it == text)
}
