//! How many may hold a name.

use crate::error::{Error, Result};

/// The most permits that a request may allow: a server looks at no more holders than that.
pub(crate) const MAX_PERMITS: u32 = 10_000;

/// How many may hold a name while whoever asks with this does, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Limit(u32);

impl Limit {
    /// One alone.
    pub(crate) const EXCLUSIVE: Self = Self(1);
    /// As many as ask for it so.
    pub(crate) const SHARED: Self = Self(0);

    /// The limit that a request asks for.
    pub(crate) fn new(shared: bool, permits: Option<u32>) -> Result<Self> {
        match permits {
            Some(_) if shared => Err(Error::invalid(
                "shared and permits are given together; with permits so many may hold the name, with shared any number: choose one",
            )),
            Some(permits) if !(1..=MAX_PERMITS).contains(&permits) => Err(Error::invalid(format!(
                "permits is {permits}; it must be a whole number from 1 to {MAX_PERMITS}: how many may hold the name at the same time"
            ))),
            _ => Ok(Self::checked(shared, permits)),
        }
    }

    /// The limit that a request asks for, which was checked.
    pub(crate) fn checked(shared: bool, permits: Option<u32>) -> Self {
        match permits {
            _ if shared => Self::SHARED,
            Some(permits) => Self(permits),
            None => Self::EXCLUSIVE,
        }
    }

    /// As stores have it: 1 exclusive, 0 shared, or so many permits.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The limit that a store has as this number.
    pub(crate) fn of_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn is_exclusive(self) -> bool {
        self == Self::EXCLUSIVE
    }

    /// Whether one with this limit may hold a name beside so many others.
    pub(crate) fn fits_beside(self, others: u64) -> bool {
        self == Self::SHARED || others < u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permit_is_the_exclusive_lock() {
        let exclusive = Limit::new(false, Some(1)).expect("a limit");
        assert!(exclusive.is_exclusive());
        assert!(Limit::new(false, None).expect("a limit").is_exclusive());
        assert!(!Limit::new(true, None).expect("a limit").is_exclusive());
    }

    #[test]
    fn as_many_fit_as_the_limit_says() {
        let three = Limit::new(false, Some(3)).expect("a limit");
        assert!(three.fits_beside(2) && !three.fits_beside(3));
        assert!(Limit::SHARED.fits_beside(1_000_000));
        assert!(Limit::EXCLUSIVE.fits_beside(0) && !Limit::EXCLUSIVE.fits_beside(1));
    }

    #[test]
    fn other_numbers_and_both_at_once_are_refused() {
        for (shared, permits) in [(false, 0), (false, MAX_PERMITS + 1), (true, 2), (true, 1)] {
            assert!(
                Limit::new(shared, Some(permits)).is_err(),
                "{shared} {permits}"
            );
        }
        assert!(Limit::new(false, Some(MAX_PERMITS)).is_ok());
    }
}
