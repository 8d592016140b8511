//! Locks as a table that fits a terminal.

use std::io::stdout;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use leaselock::{LockInfo, Mode};
use terminal_size::{Height, Width, terminal_size_of};

use crate::duration;
use crate::text::{elide, escape, pad, width};

/// Where the terminal does not say how large it is.
const USUAL: (u16, u16) = (80, 24);
/// Between columns.
const GAP: usize = 2;
/// Names and owners get no less; on a narrower terminal lines are longer than it is wide.
const NARROWEST: usize = 16;

const HEADINGS: [&str; 4] = ["NAME", "OWNER", "LEFT", "WAITERS"];

/// How a table is drawn.
pub(super) struct Table {
    columns: usize,
    coloured: bool,
}

impl Table {
    /// As wide as the terminal on stdout, in colour where that is wanted.
    pub(super) fn of_terminal() -> Self {
        Self {
            columns: size().0.into(),
            coloured: AutoStream::choice(&stdout()) != ColorChoice::Never,
        }
    }

    /// The table's lines, the heading first; or `none`.
    pub(super) fn lines(&self, locks: &[LockInfo], none: &str) -> Vec<String> {
        if locks.is_empty() {
            return vec![self.styled(Style::new().dimmed(), none)];
        }
        let rows: Vec<_> = locks.iter().map(row).collect();
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| width(&row[at]));
            cells.max().unwrap_or(0).max(HEADINGS[at].len())
        };
        let (left, waiters) = (widest(2), widest(3));
        let rest = self.columns.saturating_sub(left + waiters + 3 * GAP);
        let rest = rest.max(NARROWEST);
        let (name, owner) = share(rest, widest(0), widest(1));

        let line = |cells: [&str; 4], style: Style| {
            let name = self.styled(style, &pad(&elide(cells[0], name), name));
            let owner = pad(&elide(cells[1], owner), owner);
            // Numbers end where their headings end.
            format!(
                "{name}  {owner}  {:>left$}  {:>waiters$}",
                cells[2], cells[3]
            )
        };
        let heading = line(HEADINGS, Style::new());
        let mut lines = vec![self.styled(Style::new().bold(), &heading)];
        let name_style = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
        lines.extend(
            rows.iter()
                .map(|row| line(row.each_ref().map(String::as_str), name_style)),
        );
        lines
    }

    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        if self.coloured && style != Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }
}

/// The columns and rows of the terminal on stdout.
pub(super) fn size() -> (u16, u16) {
    match terminal_size_of(stdout()) {
        Some((Width(columns), Height(rows))) => (columns, rows),
        None => USUAL,
    }
}

fn row(lock: &LockInfo) -> [String; 4] {
    [
        escape(&lock.name),
        owner(lock),
        duration::left(lock.expires_in),
        lock.waiters.to_string(),
    ]
}

/// Who holds it: the first of them, and how many more there are, or whether others may come in beside.
fn owner(lock: &LockInfo) -> String {
    let owner = escape(&lock.owner);
    match (lock.mode, lock.holder_count) {
        (Mode::Shared, 0 | 1) => format!("{owner} (shared)"),
        (Mode::Shared, several) => format!("{owner} (+{})", several - 1),
        _ => owner,
    }
}

/// Divides the columns between two texts: each gets what it needs, or else half, or else what the other leaves.
fn share(columns: usize, one: usize, other: usize) -> (usize, usize) {
    let half = columns / 2;
    if one + other <= columns {
        (one, other)
    } else if one <= half {
        (one, columns - one)
    } else if other <= half {
        (columns - other, other)
    } else {
        (columns - half, half)
    }
}
