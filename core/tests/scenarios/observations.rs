//! What observers are told, as scenarios look at it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaselock::{ErrorKind, LockEvent, LockEventKind, LossReason, Observer};
use serde_json::{Value, json};

static EVENTS: Mutex<Vec<LockEvent>> = Mutex::new(Vec::new());

/// Collects what it is told.
pub(crate) fn observer() -> Arc<dyn Observer> {
    Arc::new(|event| EVENTS.lock().unwrap().push(event))
}

/// The events of the lock, renewals if they are asked for, and of one label where there is one, once there are so many of them, or that many milliseconds have passed.
pub(crate) fn observed(
    name: &str,
    label: Option<&str>,
    renewals: bool,
    count: usize,
    within: f64,
) -> Value {
    let give_up_at = Instant::now() + Duration::from_secs_f64(within / 1000.0);
    let is_meant = |event: &&LockEvent| {
        event.name() == name
            && (renewals || !matches!(event.kind(), LockEventKind::Renewed { .. }))
            && label.is_none_or(|label| event.owner().starts_with(&format!("{label}:")))
    };
    loop {
        let found: Vec<Value> = {
            let events = EVENTS.lock().unwrap();
            events.iter().filter(is_meant).map(fields).collect()
        };
        if found.len() >= count || Instant::now() > give_up_at {
            return found.into();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn fields(event: &LockEvent) -> Value {
    let kind = event.kind();
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let since = event.at().duration_since(std::time::UNIX_EPOCH).unwrap();
    json!({
        "kind": kind.as_str(),
        "at": millis(since),
        "client": event.client(),
        "app_id": event.app_id(),
        "name": event.name(),
        "owner": event.owner(),
        "token": kind.token(),
        "waited": kind.waited().map(millis),
        "held": kind.held().map(millis),
        "contended": kind.contended(),
        "reason": kind.reason().map(LossReason::as_str),
        "error": kind.error().map(ErrorKind::code),
    })
}
