//! How long a server may stay silent: shared by all connections of a client to one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A server that is reached answers sooner than this. Later, its connection is suspect.
const PATIENCE: Duration = Duration::from_secs(1);
/// A server that answers slowly gets this many times what it last took.
const MARGIN: u32 = 4;

/// What is known of a server's promptness.
#[derive(Clone)]
pub(super) struct Health {
    /// In milliseconds. It grows with every silence and every slow answer, and is back at [`PATIENCE`] with a quick one:
    /// so a slow server is not taken for one that a network has cut off.
    patience: Arc<AtomicU64>,
    /// How long to connect, in milliseconds: it grows with each attempt in a row that hangs.
    connecting: Arc<AtomicU64>,
    silence: Duration,
}

impl Health {
    /// `silence`: after so long without an answer a connection is dead, the command time-out.
    pub(super) fn new(silence: Duration) -> Self {
        Self {
            patience: Arc::new(AtomicU64::new(millis(PATIENCE.min(silence)))),
            connecting: Arc::default(),
            silence,
        }
    }

    /// How long to wait for an answer before the connection is suspect.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    /// How long to try to connect before trying anew: a connection that hangs is no reason to wait for it, until a server has
    /// shown to be slow.
    pub(super) fn connecting(&self) -> Duration {
        let grown = Duration::from_millis(self.connecting.load(Ordering::Relaxed));
        grown.max(PATIENCE).min(self.silence)
    }

    /// Connecting came to an end within its limit, or not.
    pub(super) fn connected(&self, limit: Duration, in_time: bool) {
        let next = if in_time { 0 } else { millis(limit * 2) };
        self.connecting.store(next, Ordering::Relaxed);
    }

    /// How long to wait for an answer before the connection is dead.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// An answer came after this long.
    pub(super) fn answered(&self, took: Duration) {
        let patience = millis((took * MARGIN).max(PATIENCE).min(self.silence));
        if self.patience.load(Ordering::Relaxed) != patience {
            self.patience.store(patience, Ordering::Relaxed);
        }
    }

    /// No answer came for this long.
    pub(super) fn unanswered(&self, waited: Duration) {
        let patience = millis((waited * 2).min(self.silence));
        self.patience.fetch_max(patience, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_silence_and_slowness_and_comes_back() {
        let health = Health::new(Duration::from_secs(5));
        let elsewhere = health.clone();
        assert_eq!(health.patience(), Duration::from_secs(1));
        elsewhere.unanswered(Duration::from_secs(1));
        assert_eq!(health.patience(), Duration::from_secs(2));
        // A renewal of a short lease has less patience of its own, and says nothing about the rest.
        elsewhere.unanswered(Duration::from_millis(50));
        assert_eq!(health.patience(), Duration::from_secs(2));
        health.answered(Duration::from_millis(1_100));
        assert_eq!(health.patience(), Duration::from_millis(4_400));
        health.unanswered(Duration::from_secs(4));
        assert_eq!(
            health.patience(),
            Duration::from_secs(5),
            "no more than the command time-out"
        );
        health.answered(Duration::from_millis(3));
        assert_eq!(health.patience(), Duration::from_secs(1));
    }

    #[test]
    fn connecting_has_a_limit_of_its_own() {
        let health = Health::new(Duration::from_secs(5));
        health.unanswered(Duration::from_secs(4));
        let first = health.connecting();
        assert_eq!(first, Duration::from_secs(1), "whatever else is silent");
        health.connected(first, false);
        assert_eq!(health.connecting(), Duration::from_secs(2));
        health.connected(Duration::from_secs(4), false);
        assert_eq!(health.connecting(), Duration::from_secs(5));
        health.connected(first, true);
        assert_eq!(health.connecting(), Duration::from_secs(1));
    }

    #[test]
    fn a_short_command_timeout_is_all_the_patience_there_is() {
        let health = Health::new(Duration::from_millis(300));
        assert_eq!(health.patience(), Duration::from_millis(300));
        health.answered(Duration::from_millis(1));
        assert_eq!(health.patience(), Duration::from_millis(300));
    }
}
