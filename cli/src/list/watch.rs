//! The table, drawn again and again.

use std::io::{self, Stdout, Write, stdout};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use leaselock::{Client, LockInfo};
use tokio::time::{MissedTickBehavior, interval};

use super::collect;
use super::table::{Table, size};
use crate::duration::Shown;
use crate::exit::{Exit, Failure};
use crate::system::{INTERRUPT, Signals, stop_here};
use crate::text::{elide, escape, wrap};

/// Draws until a signal ends it. An unreachable store is shown, and asked again.
pub(super) async fn run(client: &Client, pattern: &str, every: Duration) -> Result<Exit, Failure> {
    let mut signals = Signals::of_screen()?;
    // What can never work is said where it can be read.
    let mut locks = collect(client, pattern).await;
    if let Err(failure) = &locks
        && failure.exit() != Exit::UNAVAILABLE
    {
        return Err(locks.expect_err("it has failed"));
    }
    let title = format!("Every {}: leaselock ls {pattern}", Shown(every));
    let screen = Screen::enter()?;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        screen.draw(&title, &locks)?;
        let next = async {
            ticks.tick().await;
            collect(client, pattern).await
        };
        tokio::pin!(next);
        locks = loop {
            tokio::select! {
                collected = &mut next => break collected,
                signal = signals.next() => {
                    if signal.is_stop() {
                        screen.leave();
                        stop_here();
                        screen.resume()?;
                    } else if signal.is_ending() {
                        return Ok(ended(signal.number));
                    }
                    // Or else: another size, or continued after SIGSTOP.
                }
            }
            screen.draw(&title, &locks)?;
        };
    }
}

/// Ctrl-C is how one leaves it.
fn ended(number: i32) -> Exit {
    if number == INTERRUPT {
        Exit::OK
    } else {
        Exit::signal(number)
    }
}

/// The terminal's other screen, with the cursor hidden; the first one comes back in the end.
struct Screen(Stdout);

impl Screen {
    /// Lines too long for it are cut, not wrapped.
    const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
    const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

    fn enter() -> io::Result<Self> {
        let screen = Self(stdout());
        screen.resume()?;
        Ok(screen)
    }

    fn resume(&self) -> io::Result<()> {
        self.put(Self::ENTER)
    }

    fn leave(&self) {
        // A terminal that is gone needs nothing any more.
        let _ = self.put(Self::LEAVE);
    }

    /// Overwrites what is there, so that nothing flickers.
    fn draw(&self, title: &str, locks: &Result<Vec<LockInfo>, Failure>) -> io::Result<()> {
        let table = Table::of_terminal();
        let rows = usize::from(size().1);
        let mut lines = vec![table.styled(Style::new().dimmed(), &elide(title, table.columns()))];
        match locks {
            Ok(locks) => lines.extend(table.lines(locks, "no locks are held")),
            Err(failure) => {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
                let message = wrap(&escape(failure.message()), table.columns());
                lines.extend(message.iter().map(|line| table.styled(red, line)));
            }
        }
        if lines.len() > rows {
            let hidden = lines.len() - rows + 1;
            lines.truncate(rows - 1);
            lines.push(table.styled(Style::new().dimmed(), &format!("… and {hidden} more")));
        }
        // Erased first: after a line as wide as the terminal, the cursor is on its last character.
        let lines: Vec<_> = lines.iter().map(|line| format!("\x1b[2K{line}")).collect();
        let below = if lines.len() < rows { "\r\n\x1b[J" } else { "" };
        let frame = format!("\x1b[H{}{below}", lines.join("\r\n"));
        self.put(&frame)
    }

    fn put(&self, text: &str) -> io::Result<()> {
        let mut out = self.0.lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}
