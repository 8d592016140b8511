//! Pauses between attempts while a store cannot be reached.

use std::time::Duration;

use crate::environment;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Doubling pauses with jitter, so that many clients do not come back in step.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The next pause: between half and all of a length that doubles up to a second.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(f64::midpoint(1.0, fraction()));
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}

/// A random duration below `bound`.
pub(crate) fn jitter(bound: Duration) -> Duration {
    bound.mul_f64(fraction())
}

/// A random number in [0, 1).
fn fraction() -> f64 {
    f64::from(random()) / (f64::from(u32::MAX) + 1.0)
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Jitter needs no strong randomness, and none is no harm.
    let _ = environment::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

/// Puts things into a random order.
pub(crate) fn shuffle<T>(things: &mut [T]) {
    for end in (1..things.len()).rev() {
        let random = usize::try_from(random()).unwrap_or(0);
        things.swap(end, random % (end + 1));
    }
}
