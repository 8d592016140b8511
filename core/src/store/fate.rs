//! A failed operation, and what may have become of its command.

use crate::error::{Error, ErrorKind};

/// What became of the command of a failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The command was not sent.
    Unsent,
    /// The command was answered with an error.
    Answered,
    /// The command may have been carried out, or may still be.
    Unanswered,
}

/// A failed operation.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    fate: Fate,
}

impl Failure {
    pub(crate) fn unsent(error: Error) -> Self {
        let fate = Fate::Unsent;
        Self { error, fate }
    }

    pub(crate) fn answered(error: Error) -> Self {
        let fate = Fate::Answered;
        Self { error, fate }
    }

    pub(crate) fn unanswered(error: Error) -> Self {
        let fate = Fate::Unanswered;
        Self { error, fate }
    }

    pub(crate) fn is_unsent(&self) -> bool {
        self.fate == Fate::Unsent
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        self.fate == Fate::Unanswered
    }

    /// Whether the store has no room now: in memory, or on its disk.
    pub(crate) fn is_of_room(&self) -> bool {
        self.error.is_of_room()
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.error.kind() == ErrorKind::StoreUnavailable
    }
}
