//! `replicas=k`: what a command writes counts only when so many replicas have it, which WAIT tells.

use std::time::Duration;

use redis::{ServerError, Value};

use super::exchange::Exchange;
use super::failure;
use super::wire::Packed;
use crate::error::Error;
use crate::store::Failure;

/// Replicas that are there confirm within a round trip. So much sooner than a connection becomes suspect that a replica that
/// does not answer is never taken for a master that does not.
const LONGEST: Duration = Duration::from_millis(500);
/// No more than this part of the TTL, so that enough is left of a lease that was confirmed late.
const PART_OF_TTL: u32 = 4;
/// A server may end a WAIT so much later than it was told.
pub(super) const LATENESS: Duration = Duration::from_millis(100);

/// How many replicas are to have what a request writes, and for how long the server waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confirming {
    replicas: u32,
    within: Duration,
}

impl Confirming {
    /// For a request that sets leases of `ttl` and is answered within `limit`. `None` where nothing is to be confirmed.
    pub(super) fn of_leases(replicas: u32, ttl: Duration, limit: Duration) -> Option<Self> {
        let within = LONGEST.min(ttl / PART_OF_TTL).min(limit / 2);
        (replicas > 0).then(|| Self {
            replicas,
            // A WAIT for no time at all waits for ever.
            within: within.max(Duration::from_millis(1)),
        })
    }

    /// For two requests at once: the time of the more impatient.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.within < self.within => other,
            _ => self,
        }
    }

    /// Until when the server answers at the latest, from now on.
    pub(super) fn lasts(self) -> Duration {
        self.within + LATENESS
    }

    /// Packs the command that waits for all that was written on the connection before.
    pub(super) fn pack(self, out: &mut Packed) {
        let (replicas, millis) = (
            self.replicas.to_string(),
            self.within.as_millis().to_string(),
        );
        out.words(&["WAIT", &replicas, &millis]);
    }

    /// Whether enough replicas have what was written, by the reply to WAIT.
    fn judge(self, reply: Option<&Value>) -> Result<(), Failure> {
        let Self { replicas, within } = self;
        match reply {
            Some(Value::Int(count)) if *count >= i64::from(replicas) => Ok(()),
            Some(Value::Int(count)) => Err(Failure::answered(Error::unavailable(format!(
                "{count} of {replicas} replicas confirmed the lock within {within:?}; bring replicas back, or ask for fewer"
            )))),
            reply => Err(refused(reply)),
        }
    }
}

/// The replies to a request that was begun with `confirming`, and whether its replicas have what it wrote.
pub(super) fn split(
    confirming: Option<Confirming>,
    replies: &[Value],
) -> (&[Value], Result<(), Failure>) {
    match (confirming, replies.split_last()) {
        (None, _) => (replies, Ok(())),
        (Some(confirming), None) => (replies, confirming.judge(None)),
        (Some(confirming), Some((last, others))) => (others, confirming.judge(Some(last))),
    }
}

/// What a renewal comes to that had nothing to write, on a connection that has written nothing before it: replicas may lack
/// what was written elsewhere.
pub(super) fn nothing_written() -> Failure {
    Failure::answered(Error::unavailable(
        "replicas may not have what an earlier connection wrote of the lock",
    ))
}

/// The result of an exchange: a lease counts when replicas have it. What is not counted is left as it is, in the store: to be
/// confirmed when whoever asked asks again, or else to be given back.
pub(super) fn judged<E: Exchange>(
    result: Result<E::Output, Failure>,
    confirmation: Result<(), Failure>,
) -> Result<E::Output, Failure> {
    match confirmation {
        Err(unconfirmed) if result.as_ref().is_ok_and(E::is_lease) => Err(unconfirmed),
        _ => result,
    }
}

fn refused(reply: Option<&Value>) -> Failure {
    Failure::answered(match reply {
        Some(Value::ServerError(error)) if is_of_replica(error) => Error::unavailable(format!(
            "the server is not the master any more: {}",
            failure::words_of(error)
        )),
        Some(Value::ServerError(error)) => failure::from_server(error),
        reply => failure::unexpected("WAIT", reply.map_or(&[], std::slice::from_ref)),
    })
}

/// It was made a replica between the write and the WAIT.
fn is_of_replica(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|words| words.contains("replica instances"))
}
