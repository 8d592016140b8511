//! What a node of a cluster answers that has not got a slot, or not all of it: nothing was carried out, and it may be sent
//! again as it is.

use redis::{ServerError, Value};

use super::config::Address;
use super::failure;
use super::slots::SLOTS;
use crate::error::Error;
use crate::store::Failure;

/// Where else to ask, or when.
#[derive(Debug)]
pub(super) enum Redirection {
    /// Another node has the slot from now on.
    Moved { slot: u16, to: Address },
    /// Another node has what is asked for, or will; the slot is on its way.
    Ask(Address),
    /// The slot is on its way, and so is a part of what is asked for.
    TryAgain(Error),
    /// The cluster is changing.
    Down(Error),
}

impl Redirection {
    /// What the first refusal among `replies` of the node at `asked` says; it names the cause of all others.
    pub(super) fn of(replies: &[Value], asked: &Address) -> Option<Self> {
        let error = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some(error),
            _ => None,
        })?;
        Self::of_error(error, asked)
    }

    fn of_error(error: &ServerError, asked: &Address) -> Option<Self> {
        let mut words = error.details().unwrap_or_default().split(' ');
        let slot = words.next().and_then(|slot| slot.parse().ok());
        let slot = slot.filter(|slot| usize::from(*slot) < SLOTS);
        let to = words.next().and_then(|to| Address::told(to, asked));
        match error.code() {
            "MOVED" => Some(Self::Moved {
                slot: slot?,
                to: to?,
            }),
            "ASK" => to.map(Self::Ask),
            "TRYAGAIN" => Some(Self::TryAgain(failure::from_server(error))),
            "CLUSTERDOWN" => Some(Self::Down(failure::from_server(error))),
            _ => None,
        }
    }
}

/// Why an exchange with one server came to no result.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Failure),
    /// Nothing was carried out; it goes on there.
    Elsewhere(Redirection),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stop {
    /// For whoever asks again from the beginning.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Elsewhere(Redirection::TryAgain(error) | Redirection::Down(error)) => {
                Failure::answered(error)
            }
            Self::Elsewhere(Redirection::Moved { to, .. } | Redirection::Ask(to)) => {
                Failure::answered(Error::unavailable(format!(
                    "the lock's slot of the cluster is on its way to the server at {to}"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, details: &str) -> Option<Redirection> {
        let words = format!("-{code} {details}\r\n");
        let error = match redis::parse_redis_value(words.as_bytes()) {
            Ok(Value::ServerError(error)) => error,
            other => panic!("{other:?}"),
        };
        let asked = Address::announced("10.0.0.1", 7000);
        Redirection::of(&[Value::Okay, Value::ServerError(error)], &asked)
    }

    #[test]
    fn a_redirection_names_slot_and_address() {
        let moved = of("MOVED", "3999 127.0.0.1:6381");
        assert!(
            matches!(moved, Some(Redirection::Moved { slot: 3999, to }) if to == Address::announced("127.0.0.1", 6381))
        );
        let same_host = of("MOVED", "3999 :6381");
        assert!(
            matches!(same_host, Some(Redirection::Moved { to, .. }) if to == Address::announced("10.0.0.1", 6381))
        );
        let ask = of("ASK", "3999 fd00::7:6381");
        assert!(
            matches!(ask, Some(Redirection::Ask(to)) if to == Address::announced("fd00::7", 6381))
        );
        assert!(matches!(
            of("TRYAGAIN", "Multiple keys request during rehashing of slot"),
            Some(Redirection::TryAgain(_))
        ));
        assert!(of("OOM", "command not allowed").is_none());
        assert!(of("MOVED", "nonsense").is_none());
        assert!(of("MOVED", "16384 127.0.0.1:6381").is_none());
    }
}
