//! Told in the order in which they came.

use std::pin::pin;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::store::redis::link::Connected;
use crate::sync::lock;

/// What comes of connecting.
#[derive(Default)]
pub(in crate::store::redis::link) struct Outcome {
    told: Mutex<Option<Connected>>,
    heard: Notify,
}

impl Outcome {
    /// Tells it, unless something was told before.
    pub(in crate::store::redis::link) fn tell_first(&self, connected: Connected) {
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
    pub(in crate::store::redis::link) fn tell(&self, connected: Connected) {
        *lock(&self.told) = Some(connected);
        self.heard.notify_waiters();
    }

    /// Whether something was told.
    pub(in crate::store::redis::link) fn is_told(&self) -> bool {
        lock(&self.told).is_some()
    }

    /// Waits until something is told.
    pub(in crate::store::redis::link) async fn heard(&self) -> Connected {
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
