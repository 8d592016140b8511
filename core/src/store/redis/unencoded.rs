//! A password that was put into a URL as it is: which of its characters are in the way, and how they are written.

/// What stands for a character that means something in a URL.
const ENCODED: &[(char, &str)] = &[
    ('/', "%2F"),
    ('#', "%23"),
    ('@', "%40"),
    ('?', "%3F"),
    ('%', "%25"),
];

/// What is to be said of the user and the password in a URL that holds characters which end them early, without any of
/// either; `None` where they are as they should be, or there are none.
pub(super) fn advice(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    // What follows a '?' is options, whose values may hold anything. An '@' behind it is of the log-in only where none is before.
    let before_options = rest.split('?').next().unwrap_or_default();
    let end = match before_options.rfind('@') {
        Some(end) => end,
        None => looks_like_log_in(rest)?,
    };
    let log_in = &rest[..end];
    let found = |(character, _): &&(char, &str)| match character {
        // By itself it does no harm; beside others it is to be written like them.
        '@' | '%' => false,
        _ => log_in.contains(*character),
    };
    if !ENCODED.iter().any(|pair| found(&pair)) {
        return None;
    }
    let written = ENCODED
        .iter()
        .filter(|(character, _)| log_in.contains(*character))
        .map(|(character, encoded)| format!("'{character}' as {encoded}"));
    Some(format!(
        "the user or the password in the URL has characters that mean something else there; write {}",
        written.collect::<Vec<_>>().join(", ")
    ))
}

/// Where a log-in with a '?' in it ends: `user:pass?word@host`, whose first part is no `host:port`.
fn looks_like_log_in(rest: &str) -> Option<usize> {
    let (before, _) = rest.split_once('?')?;
    let (host, port) = before.split_once(':')?;
    if host.starts_with('[') {
        return None;
    }
    let is_port = port
        .split('/')
        .next()?
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    if is_port { None } else { rest.rfind('@') }
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn each_character_in_the_way_is_named_with_what_to_write() {
        for (url, named) in [
            ("redis://u:a/b@host", vec!["'/' as %2F"]),
            ("redis://u:1/b@host:6379/2?db=2", vec!["'/' as %2F"]),
            ("redis://:#b@host", vec!["'#' as %23"]),
            ("rediss://u:a@b#c@host/0", vec!["'#' as %23", "'@' as %40"]),
            ("redis://u:a?b@host", vec!["'?' as %3F"]),
            ("redis://u:a%/b@host", vec!["'/' as %2F", "'%' as %25"]),
        ] {
            let advice = advice(url).expect(url);
            for name in named {
                assert!(advice.contains(name), "{url}: {advice}");
            }
        }
    }

    #[test]
    fn a_log_in_that_is_written_as_it_should_be_is_left_alone() {
        for url in [
            "redis://host",
            "redis://host:6379/0?key_prefix=a@b",
            "redis://u:p@host:1/0?tls_ca=/etc/a@b.pem",
            "redis://u:a%2Fb%23c%40d@host",
            "redis://u:a@b@host",
            "redis://[::1]:6379/0?key_prefix=x@",
            "unix:/tmp/a@b",
            "redis://host/0#fragment",
        ] {
            assert_eq!(advice(url), None, "{url}");
        }
    }
}
