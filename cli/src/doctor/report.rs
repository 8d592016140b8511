//! What was found, as people and as programs read it.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use super::finding::{Finding, Level};
use crate::text::{escape, width as columns};

/// Text is set for the usual terminal; lines that are to be copied stay whole.
const WIDTH: usize = 80;
/// Where the text begins, behind the level.
const INDENT: usize = 9;

/// All that was found in one store.
pub(super) struct Report {
    store: String,
    ttl: Duration,
    findings: Vec<Finding>,
}

impl Report {
    /// `store` says what it is and where; the findings are put in order, the worst first.
    pub(super) fn new(store: String, ttl: Duration, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.level);
        Self {
            store,
            ttl,
            findings,
        }
    }

    pub(super) fn count(&self, level: Level) -> usize {
        self.of(level).count()
    }

    /// For programs: one object in one line.
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let checks: Vec<_> = self.findings.iter().map(Finding::to_json).collect();
        let report = json!({
            "store": self.store,
            "ttl": self.ttl.as_secs_f64(),
            "problems": self.count(Level::Problem),
            "warnings": self.count(Level::Warning),
            "unknown": self.count(Level::Unknown),
            "checks": checks,
        });
        writeln!(out, "{report}")
    }

    /// For people: the worst first, and what is well in a line each.
    pub(super) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", escape(&self.store))?;
        for finding in &self.findings {
            if !matches!(finding.level, Level::Problem | Level::Warning) {
                continue;
            }
            writeln!(out)?;
            let place = if finding.is_everywhere {
                String::new()
            } else {
                format!(" at {}", finding.at.join(", "))
            };
            let seen = format!("{}{place}: {}", finding.check, finding.seen);
            begin(out, finding.level, &seen, INDENT)?;
            let further = [&finding.means, &finding.todo];
            for text in further.into_iter().filter(|text| !text.is_empty()) {
                for line in lines(INDENT, INDENT, text) {
                    writeln!(out, "{line}")?;
                }
            }
            for command in &finding.commands {
                writeln!(out, "{:INDENT$}  {command}", "")?;
            }
        }
        if self.count(Level::Ok) + self.count(Level::Unknown) > 0 {
            writeln!(out)?;
        }
        self.unseen(out)?;
        let mut told: Vec<&str> = Vec::new();
        for finding in self.of(Level::Ok) {
            if told.contains(&finding.check) {
                continue;
            }
            told.push(finding.check);
            let alike = self.of(Level::Ok).filter(|it| it.check == finding.check);
            let others: usize = alike.map(|it| it.at.len()).sum::<usize>() - finding.at.len();
            let seen = match others {
                0 => finding.seen.clone(),
                _ => format!(
                    "{} (at {}; well at {others} more)",
                    finding.seen, finding.at[0]
                ),
            };
            let seen = format!("{:<14} {seen}", finding.check);
            begin(out, Level::Ok, &seen, INDENT + 15)?;
        }
        writeln!(out)?;
        for line in lines(0, 0, &self.summary()) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn of(&self, level: Level) -> impl Iterator<Item = &Finding> {
        let found = self.findings.iter();
        found.filter(move |finding| finding.level == level)
    }

    /// What could not be looked at, together where the reason is the same.
    fn unseen(&self, out: &mut impl Write) -> io::Result<()> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for finding in self.of(Level::Unknown) {
            match reasons.iter_mut().find(|(why, _)| *why == finding.seen) {
                Some((_, checks)) if checks.contains(&finding.check) => {}
                Some((_, checks)) => checks.push(finding.check),
                None => reasons.push((&finding.seen, vec![finding.check])),
            }
        }
        for (why, checks) in reasons {
            let text = format!("{}: {why}", checks.join(", "));
            begin(out, Level::Unknown, &text, INDENT)?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let many = |count: usize, one: &str| match count {
            0 => format!("no {one}s"),
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        let unknown = match self.count(Level::Unknown) {
            0 => String::new(),
            count => format!("; {count} could not be looked at: ask the server's administrator"),
        };
        let problems = many(self.count(Level::Problem), "problem");
        let warnings = many(self.count(Level::Warning), "warning");
        format!("{problems}, {warnings}{unknown}")
    }
}

/// A paragraph behind its level, whose further lines begin at `indent`.
fn begin(out: &mut impl Write, level: Level, text: &str, indent: usize) -> io::Result<()> {
    let (word, style) = (level.as_str(), level.style());
    for (number, line) in lines(INDENT, indent, text).iter().enumerate() {
        match line.get(word.len()..) {
            Some(rest) if number == 0 => writeln!(out, "{style}{word}{style:#}{rest}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// Text in lines that are not too long, the first of which begins at `first`, the others at `indent`.
fn lines(first: usize, indent: usize, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in escape(text).split(' ') {
        let start = if lines.is_empty() { first } else { indent };
        if line.is_empty() {
            line = " ".repeat(start);
        } else if columns(&line) + 1 + columns(word) > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
