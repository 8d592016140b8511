//! What was found: one finding for each thing looked at.

use anstyle::{AnsiColor, Style};
use leaselock::diagnosis::{Refusal, ServerFacts};
use serde_json::{Value, json};

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// A promise is broken, or will be.
    Problem,
    /// A promise holds only as long as nothing else goes wrong.
    Warning,
    /// It could not be looked at.
    Unknown,
    Ok,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }

    /// How it looks on a terminal.
    pub(super) const fn style(self) -> Style {
        match self {
            Self::Problem => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Unknown => Style::new().bold(),
            Self::Ok => AnsiColor::Green.on_default(),
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// What was looked at, in a word or two: for programs, too.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// The servers it was seen at, where there are several.
    pub(super) at: Vec<String>,
    /// Whether these are all that were looked at.
    pub(super) is_everywhere: bool,
    /// What was seen there.
    pub(super) seen: String,
    /// What it means for locks.
    pub(super) means: String,
    /// What to do about it.
    pub(super) todo: String,
    /// Commands for the server that do it, to be copied as they are.
    pub(super) commands: Vec<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, seen)
    }

    pub(super) fn warning(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, seen)
    }

    pub(super) fn problem(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Level::Problem, seen)
    }

    pub(super) fn unknown(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Level::Unknown, seen)
    }

    /// What the store would not show.
    pub(super) fn refused(check: &'static str, what: &str, refusal: &Refusal) -> Self {
        let seen = format!("could not look: {what} is refused ({})", refusal.words);
        Self::unknown(check, seen)
    }

    /// What should be in INFO, and is not.
    pub(super) fn not_in_info(check: &'static str, facts: &ServerFacts) -> Self {
        match &facts.info {
            Err(refusal) => Self::refused(check, "INFO", refusal),
            Ok(_) => Self::unknown(check, "could not look: INFO says nothing about it"),
        }
    }

    fn new(check: &'static str, level: Level, seen: impl Into<String>) -> Self {
        Self {
            check,
            level,
            at: Vec::new(),
            is_everywhere: true,
            seen: seen.into(),
            means: String::new(),
            todo: String::new(),
            commands: Vec::new(),
        }
    }

    pub(super) fn means(mut self, means: impl Into<String>) -> Self {
        self.means = means.into();
        self
    }

    pub(super) fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = todo.into();
        self
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// Whether the same was found, wherever that was.
    fn is_alike(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.check, it.level);
        let texts = |it: &Self| [it.seen.clone(), it.means.clone(), it.todo.clone()];
        parts(self) == parts(other)
            && texts(self) == texts(other)
            && self.commands == other.commands
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "level": self.level.as_str(),
            "at": self.at,
            "seen": self.seen,
            "means": self.means,
            "todo": self.todo,
            "commands": self.commands,
        })
    }
}

/// What was found at several servers, each by its address: what is alike is said once.
pub(super) fn merged(found: Vec<(String, Vec<Finding>)>) -> Vec<Finding> {
    let servers = found.len();
    let mut merged: Vec<Finding> = Vec::new();
    for (address, findings) in found {
        for mut finding in findings {
            if let Some(known) = merged.iter_mut().find(|it| it.is_alike(&finding)) {
                known.at.push(address.clone());
            } else {
                finding.at.push(address.clone());
                merged.push(finding);
            }
        }
    }
    for finding in &mut merged {
        finding.is_everywhere = finding.at.len() == servers;
    }
    merged
}
