//! What a lease is at the moment, as its holder sees it.

/// What a lease is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Held, and the store said so within its time.
    Held,
    /// A renewal has failed, but the deadline has not come: still held.
    Unsure,
    /// Over, and not by its holder's release.
    Lost,
    /// Given back by its holder.
    Released,
}

impl LeaseState {
    /// The state's name in every language: `held`, `unsure`, `lost` or `released`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Unsure => "unsure",
            Self::Lost => "lost",
            Self::Released => "released",
        }
    }
}
