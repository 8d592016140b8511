//! What comes of connecting: told to all who wait for it, in the order in which they came.

use std::pin::pin;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::Connected;
use crate::sync::lock;

/// What comes of connecting. (A `watch` channel would wake those who wait in an order by chance.)
#[derive(Default)]
pub(super) struct Outcome {
    told: Mutex<Option<Connected>>,
    heard: Notify,
}

impl Outcome {
    /// Tells it, unless something was told before.
    pub(super) fn tell_first(&self, connected: Connected) {
        {
            let mut told = lock(&self.told);
            if told.is_some() {
                return;
            }
            *told = Some(connected);
        }
        self.heard.notify_waiters();
    }

    /// Tells it in place of what was told before.
    pub(super) fn tell(&self, connected: Connected) {
        *lock(&self.told) = Some(connected);
        self.heard.notify_waiters();
    }

    /// Whether something was told.
    pub(super) fn is_told(&self) -> bool {
        lock(&self.told).is_some()
    }

    /// Waits until something is told.
    pub(super) async fn heard(&self) -> Connected {
        loop {
            let mut heard = pin!(self.heard.notified());
            heard.as_mut().enable();
            let told = lock(&self.told).clone();
            if let Some(connected) = told {
                return connected;
            }
            heard.await;
        }
    }
}
