//! An acquire that waits elsewhere, and comes back for its claim.

use std::sync::Weak;

use super::Ended;
use super::shared::{Claimed, Shared, Wanted};
use crate::acquire::{Attempt, Ran};
use crate::error::{Error, Result};
use crate::lease::Lease;

/// Waits for the name, and claims it on the line where there still is one.
pub(super) async fn go_on(
    line: Option<(Weak<Shared>, Wanted)>,
    id: u64,
    attempt: Box<Attempt>,
    once: bool,
) -> Ended {
    let name = attempt.name();
    let Some((line, wanted)) = line else {
        return Ended::Here(or_held(attempt.run().await, once, &name));
    };
    let attempt = match attempt.run_to_grant().await {
        Ran::Over(result) => return Ended::Here(or_held(result, once, &name)),
        Ran::Granted(attempt) => attempt,
    };
    let claimed = match line.upgrade() {
        Some(line) => line.claim(id, attempt, &wanted),
        None => Claimed::Ended(attempt),
    };
    match claimed {
        Claimed::Sent(None) | Claimed::Unwanted => Ended::OnLine,
        Claimed::Sent(Some((deadline, over))) => {
            let late = tokio::time::timeout_at(deadline, over).await.is_err();
            let line = line.upgrade().filter(|_| late);
            match line.and_then(|line| line.take_back(id)) {
                Some(attempt) => Ended::Here(attempt.give_up_claim().await),
                None => Ended::OnLine,
            }
        }
        Claimed::Ended(attempt) => Ended::Here(or_held(attempt.run().await, once, &name)),
    }
}

/// Tried `once`, a lock that is held is no error.
pub(super) fn or_held(
    result: Result<Option<Lease>>,
    once: bool,
    name: &str,
) -> Result<Option<Lease>> {
    match result {
        Ok(None) if !once => Err(Error::held(name)),
        result => result,
    }
}
