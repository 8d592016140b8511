//! What is queued between MULTI and EXEC.

use super::table::Command;
use super::words::Words;

/// A transaction that has begun.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) commands: Vec<(&'static Command, Words)>,
    /// A command was refused, so all will be.
    pub(super) is_refused: bool,
}

impl Transaction {
    /// Whether any of its commands has this flag.
    pub(super) fn has(&self, flag: u32) -> bool {
        self.commands.iter().any(|(command, _)| command.is(flag))
    }
}
