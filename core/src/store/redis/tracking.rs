//! Having the server tell a connection of changes to keys: asked for once on each connection, when it is first of use, and
//! then before each command whose keys are to be watched. A server that refuses is not asked again, and nothing is said of
//! that: timers notice the same, later.

use std::sync::atomic::{AtomicU8, Ordering};

use redis::Value;

use super::wire::{self, Packed};

const UNASKED: u8 = 0;
const GRANTED: u8 = 1;
const REFUSED: u8 = 2;

/// Whether the server tells a connection of changes to the keys that are watched.
#[derive(Default)]
pub(super) struct Tracking(AtomicU8);

impl Tracking {
    /// How to have keys watched now.
    pub(super) fn arming(&self) -> Arming {
        match self.0.load(Ordering::Relaxed) {
            UNASKED => Arming::Asking,
            GRANTED => Arming::Granted,
            _ => Arming::Off,
        }
    }

    /// Reads what was answered to what [`Arming::begin`] packed; the replies to all that follows are left.
    pub(super) fn begun<'a>(&self, arming: Arming, replies: &'a [Value]) -> &'a [Value] {
        match (arming, replies.split_first()) {
            (Arming::Asking, Some((asked, others))) => {
                match asked {
                    Value::Okay => self.0.store(GRANTED, Ordering::Relaxed),
                    _ if is_refusal(asked) => self.0.store(REFUSED, Ordering::Relaxed),
                    // Busy with a script, say: it is asked again.
                    _ => {}
                }
                others
            }
            _ => replies,
        }
    }

    /// Reads what was answered to all that `arming` packed; the replies to the commands that are watched are left.
    pub(super) fn answered(&self, arming: Arming, replies: &[Value]) -> Vec<Value> {
        let replies = self.begun(arming, replies);
        if arming != Arming::Off
            && self.arming() == Arming::Granted
            && replies.iter().step_by(2).any(is_refusal)
        {
            self.0.store(REFUSED, Ordering::Relaxed);
        }
        arming.watched(replies)
    }
}

/// Whether the right is missing, or the command.
fn is_refusal(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if matches!(error.code(), "NOPERM" | "ERR"))
}

/// How the keys of commands come to be watched: by commands before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arming {
    /// Not at all.
    Off,
    /// The server is asked for it first.
    Asking,
    Granted,
}

impl Arming {
    /// Packs what comes before everything else.
    pub(super) fn begin(self, out: &mut Packed) {
        if self == Self::Asking {
            wire::track(out);
        }
    }

    /// Packs what comes before each command whose keys are to be watched.
    pub(super) fn before_each(self, out: &mut Packed) {
        if self != Self::Off {
            wire::watch_next(out);
        }
    }

    /// The replies to the commands that are watched, of all that follow what [`begin`](Self::begin) packed.
    fn watched(self, replies: &[Value]) -> Vec<Value> {
        let (own, step) = if self == Self::Off { (0, 1) } else { (1, 2) };
        replies.iter().skip(own).step_by(step).cloned().collect()
    }

    /// The replies to the commands that are watched, of all.
    pub(super) fn all_watched(self, replies: &[Value]) -> Vec<Value> {
        self.watched(&replies[replies.len().min(usize::from(self == Self::Asking))..])
    }
}
