//! A connection whose WAIT is not answered yet.

use super::instance::Micros;

/// What WAIT waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// So many replicas are to have all up to `written`.
    pub(super) replicas: usize,
    pub(super) written: u64,
    /// By the server's clock; none: for ever.
    pub(super) until: Option<Micros>,
}
