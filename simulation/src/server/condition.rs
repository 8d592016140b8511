//! What a server is made to be from outside.

use super::instance::Micros;

/// Whether it is a master, and what it says of its master otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    #[default]
    Master,
    /// It refuses writes: `READONLY`.
    Replica {
        /// Where its master is.
        host: String,
        /// The port of its master.
        port: u16,
        /// Whether the link to the master is up.
        is_linked: bool,
        /// Whether it answers while the link is down (`replica-serve-stale-data`): otherwise `MASTERDOWN`.
        serves_stale: bool,
    },
}

/// Whether a server does what it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    #[default]
    Serving,
    /// It still reads its data: `LOADING`.
    Loading,
    /// A script of somebody runs too long: `BUSY`.
    Busy,
    /// It has no memory left, and evicts nothing: `OOM` for commands that may need some.
    OutOfMemory,
    /// It cannot save its data: `MISCONF` for writes.
    CannotSave,
    /// It has fewer replicas than it needs to write (`min-replicas-to-write`): `NOREPLICAS` for writes.
    TooFewReplicas,
}

/// What a paused server leaves lying (`CLIENT PAUSE`), and until when by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The end of the pause.
    pub until: Micros,
    /// Only what may write is left lying.
    pub is_of_writes: bool,
}
