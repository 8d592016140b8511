//! Text for a terminal: what is unsafe to show, how wide it is, and how it is cut.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text with escapes for what would act on a terminal rather than show: control characters, and those that turn the
/// direction of writing. Other programs may hold a lock under any owner.
pub(crate) fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            // Writing to a String does not fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Line and paragraph separators, the marks and overrides of writing directions, and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How many columns it takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, with its middle left out where it is wider than `columns`.
pub(crate) fn elide(text: &str, columns: usize) -> String {
    const ELLIPSIS: &str = "…";
    if width(text) <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let head = fitting(text.chars(), kept.div_ceil(2));
    let tail = fitting(text.chars().rev(), kept / 2);
    let (head, tail) = (&text[..head], &text[text.len() - tail..]);
    format!("{head}{ELLIPSIS}{tail}")
}

/// How many bytes of these characters fit into so many columns.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> usize {
    let (mut used, mut bytes) = (0, 0);
    for c in chars {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        bytes += c.len_utf8();
    }
    bytes
}

/// The text and spaces up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// The text in lines of so many columns, broken between words.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
