//! Unix.

pub(super) mod child;
pub(super) mod signals;
