//! Giving a lease back: until the store has answered, and in the background where nobody waits for it.

use std::future::Future;
use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::holding::{GiveBack, Holding};
use crate::lease::Lease;
use crate::shared::Inner;
use crate::store::{Failure, Ownership, Releaser};
use crate::undo;

/// How far a release in the caller's thread came.
pub(crate) enum Release {
    Done(Result<bool>),
    /// Another release is under way: wait for that.
    Wait,
    /// It has to be sent by the runtime. `unanswered`: it may have been carried out already; `unconnected`: there was no
    /// connection for the caller's thread.
    Send {
        unanswered: bool,
        unconnected: bool,
    },
}

impl Lease {
    /// The second half of a release; `unanswered`: one was sent before, and may have been carried out. Dropped at any
    /// point, even before it was polled, it goes on in the background.
    pub(crate) fn send_release(
        &self,
        unanswered: bool,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let mut turn = Releasing {
            client: self.client.clone(),
            holding: self.holding.clone(),
            over: false,
        };
        async move {
            let answer = give_back(&turn.client, &turn.holding, unanswered).await;
            turn.over = true;
            end_release(&turn.client, &turn.holding, answer)
        }
    }

    /// A release in the caller's thread, as far as that goes.
    pub(crate) fn release_blocking(&self, interrupted: &dyn Fn() -> bool) -> Release {
        match self.begin_own_release() {
            Release::Send { .. } => {}
            known => return known,
        }
        let holding = &self.holding;
        let store = &self.client.store;
        match store.release_blocking(&holding.lock, &holding.owner, interrupted) {
            Some(answer) => self.end_own_release(answer),
            None => Release::Send {
                unanswered: false,
                unconnected: true,
            },
        }
    }

    /// Begins a release on a connection other than the shared one, where it is to be sent.
    pub(crate) fn begin_own_release(&self) -> Release {
        match self.begin_release() {
            GiveBack::Known(gave_back) => Release::Done(Ok(gave_back)),
            GiveBack::Busy => Release::Wait,
            GiveBack::Send => Release::Send {
                unanswered: false,
                unconnected: false,
            },
        }
    }

    /// What came of that.
    pub(crate) fn end_own_release(&self, answer: Result<Ownership, Failure>) -> Release {
        let failure = match answer {
            Ok(ownership) => {
                let answer = Ok((ownership, false));
                return Release::Done(end_release(&self.client, &self.holding, answer));
            }
            Err(failure) => failure,
        };
        if failure.error.kind() == ErrorKind::Interrupted {
            send_in_background(&self.client, &self.holding, true);
            Release::Done(Err(failure.error))
        } else if failure.is_temporary() {
            Release::Send {
                unanswered: failure.unanswered,
                unconnected: false,
            }
        } else {
            let answer = Err(failure.error);
            Release::Done(end_release(&self.client, &self.holding, answer))
        }
    }
}

/// Gives a lease back in the background, after its keeper let go of it.
pub(crate) fn release_in_background(client: &Arc<Inner>, holding: &Arc<Holding>) {
    client.on_ended(holding);
    if let GiveBack::Send = holding.begin_release() {
        send_in_background(client, holding, false);
    }
}

pub(crate) fn send_in_background(client: &Arc<Inner>, holding: &Arc<Holding>, unanswered: bool) {
    let (job_client, holding) = (client.clone(), holding.clone());
    client.background(async move {
        let client = job_client;
        let answer = give_back(&client, &holding, unanswered).await;
        let result = end_release(&client, &holding, answer);
        if let Err(error) = &result {
            tracing::warn!(
                target: "leaselock",
                event = "release_failed",
                client = %client.client_id,
                name = %holding.lock.name,
                owner = %holding.owner,
                error = %error,
                "a lease could not be given back; its lock is free when its ttl ends"
            );
        }
        result.is_ok()
    });
}

/// The answer to a release, and whether an earlier attempt had none.
type Answer = Result<(Ownership, bool)>;

/// Sends a release until it is answered, at most for the command time-out.
async fn give_back(client: &Inner, holding: &Holding, unanswered: bool) -> Answer {
    let release = || {
        let releaser = Releaser::Own(holding.owner.clone());
        client.store.release(&holding.lock, releaser)
    };
    client.repeat(unanswered, release).await
}

/// Notes what came of a release, and says whether this lease gave the lock back.
fn end_release(client: &Arc<Inner>, holding: &Holding, answer: Answer) -> Result<bool> {
    let (ownership, unanswered, error) = match answer {
        Ok((ownership, unanswered)) => (Some(ownership), unanswered, None),
        Err(error) => (None, false, Some(error)),
    };
    let gave_back = holding.end_release(ownership, unanswered);
    if gave_back {
        client.counters.released.add();
    }
    if holding.stale && error.is_none() {
        let again = undo::again(client.clone(), holding.lock.clone(), holding.owner.clone());
        client.background(again);
    }
    error.map_or(Ok(gave_back), Err)
}

/// A release's turn: a future dropped on the way goes on in the background.
struct Releasing {
    client: Arc<Inner>,
    holding: Arc<Holding>,
    over: bool,
}

impl Drop for Releasing {
    fn drop(&mut self) {
        if !self.over {
            send_in_background(&self.client, &self.holding, true);
        }
    }
}
