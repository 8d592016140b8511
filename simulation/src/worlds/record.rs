//! What happened in a world: a fingerprint of all of it, and, where somebody wants to read it, the steps.

/// Something that must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule that was broken.
    pub rule: &'static str,
    /// When, in ms.
    pub at: u64,
    /// How.
    pub how: String,
}

/// Collects what happens.
pub(crate) struct Record {
    hash: u64,
    steps: Option<Vec<String>>,
    violation: Option<Violation>,
    is_over: bool,
}

impl Record {
    /// With the steps, or with the fingerprint alone.
    pub(crate) fn new(with_steps: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            steps: with_steps.then(Vec::new),
            violation: None,
            is_over: false,
        }
    }

    /// Something happened at `at` µs: `kind` and `bytes` for the fingerprint, and `text` for people.
    pub(crate) fn note(&mut self, at: u64, kind: u8, bytes: &[u8], text: impl FnOnce() -> String) {
        if self.is_over {
            return;
        }
        self.mix(at);
        self.mix(u64::from(kind));
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(word));
        if let Some(steps) = &mut self.steps {
            steps.push(format!(
                "{:>7}.{:03} ms  {}",
                at / 1_000,
                at % 1_000,
                text()
            ));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash ^= self.hash >> 29;
    }

    /// A rule was broken; the first one counts.
    pub(crate) fn violate(&mut self, rule: &'static str, at: u64, how: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let how = how();
            if let Some(steps) = &mut self.steps {
                steps.push(format!(
                    "{:>7}.{:03} ms  {rule}: {how}",
                    at / 1_000,
                    at % 1_000
                ));
            }
            self.violation = Some(Violation {
                rule,
                at: at / 1_000,
                how,
            });
        }
    }

    /// The world is over: in which order its runtime drops what is left does not count.
    pub(crate) fn close(&mut self) {
        self.is_over = true;
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.violation.is_some()
    }

    /// Fingerprint, violation and steps.
    pub(crate) fn end(&mut self) -> (u64, Option<Violation>, Vec<String>) {
        let steps = self.steps.take().unwrap_or_default();
        (self.hash, self.violation.take(), steps)
    }
}
