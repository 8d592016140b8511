//! The one source of chance of a world: all that could have gone otherwise comes from its seed.

use std::ops::RangeInclusive;

/// A seeded source of numbers.
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    /// The same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number of the range, each as likely as the others.
    pub(crate) fn of(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    /// An index below `count`.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        self.0.usize(0..count)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())]
    }

    /// What happens once in so many times; 0: never.
    pub(crate) fn once_in(&mut self, times: u32) -> bool {
        times > 0 && self.0.u32(0..times) == 0
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
