//! What happens to locks, on its way from the core to the observers of a JavaScript thread.
//!
//! It goes as JSON: to make the objects one property at a time would cost more than all the rest.

use std::sync::{Arc, Weak};
use std::time::UNIX_EPOCH;

use leaselock::{ErrorKind, LockEvent, LossReason, Observer};
use serde::Serialize;

use crate::mailbox::Mailbox;
use crate::outcome::precise_millis;

/// Whoever observes in the thread of a mailbox.
pub(crate) struct ToMailbox(pub(crate) Weak<Mailbox>);

impl Observer for ToMailbox {
    fn on_event(&self, event: LockEvent) {
        if let Some(mailbox) = self.0.upgrade() {
            mailbox.observed(event);
        }
    }

    fn is_listening(&self) -> bool {
        self.0
            .upgrade()
            .is_some_and(|mailbox| mailbox.is_observed())
    }
}

/// The number that JavaScript has for the async context of an acquire.
pub(crate) struct Context {
    number: u32,
    mailbox: Weak<Mailbox>,
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.upgrade() {
            mailbox.context_gone(self.number);
        }
    }
}

impl Context {
    pub(crate) fn new(number: u32, mailbox: &Arc<Mailbox>) -> Arc<Self> {
        let mailbox = Arc::downgrade(mailbox);
        Arc::new(Self { number, mailbox })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Observed<'a> {
    kind: &'static str,
    at: f64,
    client: &'a str,
    app_id: &'a str,
    name: &'a str,
    owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contended: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Pairs of an event and the number of its context, as JSON.
pub(crate) fn json(events: &[LockEvent]) -> String {
    let pairs: Vec<_> = events.iter().map(pair).collect();
    serde_json::to_string(&pairs).expect("these are texts, numbers and truth values")
}

fn pair(event: &LockEvent) -> (Observed<'_>, Option<u32>) {
    let kind = event.kind();
    let context = event.context().and_then(|it| it.downcast_ref::<Context>());
    let observed = Observed {
        kind: kind.as_str(),
        at: event
            .at()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, precise_millis),
        client: event.client(),
        app_id: event.app_id(),
        name: event.name(),
        owner: event.owner(),
        token: kind.token(),
        waited: kind.waited().map(precise_millis),
        contended: kind.contended(),
        held: kind.held().map(precise_millis),
        reason: kind.reason().map(LossReason::as_str),
        error: kind.error().map(ErrorKind::code),
    };
    (observed, context.map(|context| context.number))
}
