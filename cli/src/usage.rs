//! What clap has to say: help texts, and what is wrong with a command line.

use crate::exit::{Exit, Failure, complain};

/// Shows a help text on stdout, or in one line on stderr what is wrong.
pub(crate) fn report(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => Exit::OK,
            Err(error) => Failure::from(error).report(),
        };
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|rest| text.find(rest))
        .min();
    let what = without_passwords(&text[..end.unwrap_or(text.len())]);
    complain(format_args!("{} (see --help)", what.replace("\n\n", "; ")));
    Exit::USAGE
}

/// The text without what stands between `://` and `@`: clap repeats a word that it does not understand.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '\n', '\'']).unwrap_or(part.len());
        let kept = part[..end].rfind('@').map_or(part, |at| &part[at..]);
        let hidden = if kept.len() < part.len() { "…" } else { "" };
        shown.push_str("://");
        shown.push_str(hidden);
        shown.push_str(kept);
    }
    shown
}
