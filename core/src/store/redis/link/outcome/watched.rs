//! Told by a `watch` channel.

use tokio::sync::watch;

use crate::store::redis::link::Connected;

/// What comes of connecting.
pub(in crate::store::redis::link) struct Outcome(watch::Sender<Option<Connected>>);

impl Default for Outcome {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Outcome {
    /// Tells it, unless something was told before.
    pub(in crate::store::redis::link) fn tell_first(&self, connected: Connected) {
        self.0.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert(connected);
            is_first
        });
    }

    /// Tells it in place of what was told before.
    pub(in crate::store::redis::link) fn tell(&self, connected: Connected) {
        self.0.send_replace(Some(connected));
    }

    /// Whether something was told.
    pub(in crate::store::redis::link) fn is_told(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until something is told.
    pub(in crate::store::redis::link) async fn heard(&self) -> Connected {
        let mut told = self.0.subscribe();
        loop {
            if let Some(connected) = &*told.borrow_and_update() {
                return connected.clone();
            }
            // The sender is here: there is always one.
            let _ = told.changed().await;
        }
    }
}
