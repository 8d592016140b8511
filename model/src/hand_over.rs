//! Hand-over: the heads of the queue that may have the name get it, one after the other. After
//! `core/src/store/redis/scripts/hand_over.lua`.
//!
//! ```text
//! hand_over(asking):                        -- asking: the caller's member, alive since it asks, or nil
//!   loop:
//!     if holder is an owner: stop
//!     if holder == '||shared':              -- only then the head is looked at before it is popped
//!       head = ZRANGE Q 0 0
//!       if no head, or not admits(its limit): stop
//!     if 100 were popped: rest = true; stop
//!     head = ZPOPMIN Q; if none: stop
//!     if head == asking:
//!       token = next_token(); admit(it, its limit, ttl); go on   -- those behind it may come in too
//!     else if its process is there (NUMSUB) and, with token = next_token(), somebody hears
//!         PUBLISH 'grant' K owner token claim-window:
//!       admit(it, its limit, claim window)
//!   if H has changed: follow
//!   if rest and not holder: SET K handing-over PX claim window   -- nobody slips in
//!   else if some were popped: tell_head
//!   more = rest and asking was not admitted                      -- the caller asks again
//!
//! tell_head: PUBLISH 'next' K owner watch(its limit), to the head
//! ```
//!
//! A grant is heard by one: it is counted, published and put into H one by one, so a token of its own goes to each, in the order of
//! the queue. One that is dead takes no place. Where the script stops at 100 and the head may still come in, it is told that it
//! has nothing to watch: it asks at once, and its script goes on. So a run of any length needs nobody but those in it.
//!
//! The head may come in, and so a hand-over is due, not only where a name becomes free or a holder leaves. It is also due where
//! **the head leaves** (a writer gives up: the readers behind it come in beside those that hold the name), where **a dead head is
//! dropped** by a look, and where a holder's time has ended. So every *wait* and *release* ends with `hand_over`, which
//! does nothing where the head may not come in.

use crate::config::{Bug, EXCLUSIVE};
use crate::server::{Around, Arrivals, Server};
use crate::wire::{Message, Owner};

/// A look at a held name asks whether so many waiters, the first, are still there.
const PRUNED: usize = 2;

/// What came of a hand-over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// The token of the one that asked, which was among them.
    pub(crate) token: Option<u8>,
    /// Somebody has left the queue, and the head, if there is one, was told.
    pub(crate) popped: bool,
    /// The head may have the name, but one script does no more: whoever asked is to ask again.
    pub(crate) more: bool,
}

impl Server {
    /// The head of the queue, and what it has to watch.
    pub(crate) fn watched(&self, around: &Around<'_>) -> (Option<Owner>, Option<u8>) {
        let head = self.queue.first().copied();
        let watches = head.and_then(|head| self.watch(around.config.limit(head), around));
        (head, watches)
    }

    /// The head, if there is one, is told that it is next, and what it has to watch.
    pub(crate) fn tell_head(&mut self, around: &mut Around<'_>) {
        if let (Some(head), watches) = self.watched(around)
            && !around.config.has(Bug::NextNotTold)
        {
            (around.publish)(head, Message::Next(head, watches));
        }
    }

    /// Whether the head may have the name.
    fn admits_head(&self, around: &Around<'_>) -> bool {
        let head = self.queue.first();
        head.is_some_and(|head| {
            let limit = around.config.limit(*head);
            let breaks = limit > EXCLUSIVE && around.config.has(Bug::BatchBreaksLimit);
            self.admits(limit) || breaks && self.is_shared()
        })
    }

    /// Pops heads while they may have the name: each that is heard gets it. `asking` is alive, since it asks, and gets the full
    /// TTL; the others get the claim window and a grant.
    pub(crate) fn hand_over(&mut self, asking: Option<Owner>, around: &mut Around<'_>) -> Run {
        let config = around.config;
        let mut run = Run::default();
        let mut pops = 0;
        while self.admits_head(around) {
            if pops == config.pops {
                run.more = run.token.is_none();
                break;
            }
            pops += 1;
            let waiter = self.queue.remove(0);
            run.popped = true;
            let token = self.next_token(around);
            if Some(waiter) == asking {
                self.admit(waiter, config.ttl, config);
                run.token = Some(token);
                if config.has(Bug::RunEndsAtAsker) {
                    break;
                }
            } else if (around.publish)(waiter, Message::Grant(waiter, token)) {
                self.admit(waiter, config.window, config);
            }
        }
        if run.more && self.is_free() {
            self.go_on_handing(around);
        } else if run.popped && !(self.admits_head(around) && config.has(Bug::RestNotTold)) {
            // Where it may have the name by now, it has nothing to watch, and asks.
            self.tell_head(around);
        }
        run
    }

    /// Whoever asked is to ask again; until then nobody else gets in.
    fn go_on_handing(&mut self, around: &Around<'_>) {
        if around.config.has(Bug::FreeInBetween) {
            self.lock = None;
        } else {
            self.set(Owner::HANDING, Some(around.config.window));
        }
    }

    /// A look at a held name drops a few waiters whose processes are gone.
    pub(crate) fn prune(&mut self, asking: Owner, around: &mut Around<'_>) {
        if around.config.has(Bug::DeadStay) {
            return;
        }
        let first: Arrivals = self.queue.iter().take(PRUNED).copied().collect();
        let dead = |waiter: &Owner| first.contains(waiter) && !(around.hears)(*waiter);
        self.queue
            .retain(|waiter| *waiter == asking || !dead(waiter));
    }
}
