//! What clap has to say: help texts, and what is wrong with a command line.

use clap::error::ErrorKind;

use crate::exit::{Exit, Failure, complain};

/// Shows a help text on stdout (without any command: on stderr), or in one line on stderr what is wrong.
pub(crate) fn report(error: &clap::Error) -> Exit {
    let no_command = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || error.kind() == no_command {
        let exit = if error.use_stderr() {
            Exit::USAGE
        } else {
            Exit::OK
        };
        return match error.print() {
            Ok(()) => exit,
            Err(error) => Failure::from(error).report(),
        };
    }
    let text = error.render().to_string();
    let text = without_passwords(text.strip_prefix("error: ").unwrap_or(&text));
    let paragraphs: Vec<_> = text
        .split("\n\n")
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .map(|paragraph| paragraph.trim().replacen("Usage:", "usage:", 1))
        .collect();
    complain(format_args!("{} (see --help)", paragraphs.join("; ")));
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
