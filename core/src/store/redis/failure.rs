//! What a server's or a connection's error means to a caller: come back later, or refused.

use std::io;
use std::time::Duration;

use redis::{ServerError, Value};

use super::config::Address;
use super::conn::Broken;
use super::tls_failure::from_tls;
use crate::error::{Error, ErrorKind};
use crate::store::Failure;

/// Codes of conditions that pass by themselves: start-up, failover, a slow script, missing replicas.
const TEMPORARY: &[&str] = &[
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "MOVED",
    "ASK",
    "UNBLOCKED",
];

/// Codes of a server that has no room, in memory or on its disk.
const NO_ROOM: &[&str] = &["OOM", "MISCONF"];

/// Codes of a server that is not, or not yet, the one to ask: its connection ends, and the address is looked up anew.
const WRONG_SERVER: &[&str] = &["LOADING", "READONLY", "MASTERDOWN", "UNBLOCKED"];
/// The code of a cluster's node that has not got a slot. It is the right one for others, but where no cluster is known of.
const WRONG_SLOT: &[&str] = &["MOVED"];

/// What a server says that has no connection left for us. It passes, as those of others end.
const FULL: &str = "max number of clients";
/// What a script is told, in words that all releases share, of a key that is not there, in a slot that is on its way elsewhere.
const ON_ITS_WAY: &str = "non local key in a cluster node";

/// The server's words, where a reply, or a part of it, says that this is the wrong server to ask.
pub(super) fn words_of_wrong_server(reply: &Value, is_of_cluster: bool) -> Option<String> {
    match reply {
        Value::ServerError(error) => one_of(WRONG_SERVER, error)
            .or_else(|| one_of(WRONG_SLOT, error).filter(|_| !is_of_cluster))
            .map(|_| words_of(error)),
        Value::Array(parts) => parts
            .iter()
            .find_map(|part| words_of_wrong_server(part, is_of_cluster)),
        _ => None,
    }
}

/// The failure of a script that came to its end only in part: of a slot that is on its way, it had emptied a key, or not found one.
pub(super) fn of_half_a_script(replies: &[Value]) -> Option<Failure> {
    replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) if words_of(error).contains(ON_ITS_WAY) => {
            Some(Failure::unanswered(from_server(error)))
        }
        _ => None,
    })
}

/// Whether the server does not know the command at all.
pub(super) fn is_unknown_command(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|words| words.contains("unknown command"))
}

/// Whether a reply says that nobody has logged in.
pub(super) fn is_of_no_log_in(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOAUTH")
}

/// The code among `codes` that an error has. A script reports the error of a command inside it behind its own prefix.
fn one_of(codes: &'static [&'static str], error: &ServerError) -> Option<&'static str> {
    let inner = |code: &str| {
        error.details().is_some_and(|words| {
            words
                .split_once(code)
                .is_some_and(|(before, after)| before.ends_with('-') && after.starts_with(' '))
        })
    };
    codes
        .iter()
        .find(|code| error.code() == **code || inner(code))
        .copied()
}

/// The error of a command that the server answered with an error.
pub(super) fn from_server(error: &ServerError) -> Error {
    let words = words_of(error);
    let passes = [FULL, ON_ITS_WAY].iter().any(|of| words.contains(of));
    if one_of(TEMPORARY, error).is_some() || passes {
        return Error::unavailable(format!(
            "the server cannot do it now, and was asked until the time-out: {words}"
        ));
    }
    let advice = match error.code() {
        // A command that is denied inside a script is reported without the usual code.
        "ERR"
            if words.contains("The user executing the script can't")
                || words.contains("ACL failure in script") =>
        {
            "NOPERM: grant the rights listed in SECURITY.md"
        }
        "NOAUTH" | "WRONGPASS" => "check the user and the password",
        "NOPERM" => "grant the rights listed in SECURITY.md",
        "OOM" => "the server is out of memory and evicts nothing; free some, or raise maxmemory",
        "MISCONF" => "the server cannot save its data; look at its log",
        "WRONGTYPE" => "the key of this lock holds something else; choose another name or app id",
        _ => "see the server's words",
    };
    let refused = Error::new(
        ErrorKind::StoreRefused,
        format!("the server refused: {words} ({advice})"),
    );
    if one_of(NO_ROOM, error).is_some() {
        refused.for_want_of_room()
    } else {
        refused
    }
}

/// The server's own words.
pub(super) fn words_of(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// The error of a reply that makes no sense.
pub(super) fn unexpected(what: &str, replies: &[Value]) -> Error {
    let mut shown = format!("{replies:?}");
    if shown.len() > 200 {
        let end = (0..=200).rev().find(|at| shown.is_char_boundary(*at));
        shown.truncate(end.unwrap_or(0));
        shown.push('…');
    }
    Error::new(
        ErrorKind::StoreRefused,
        format!(
            "the server gave no sensible answer to '{what}': {shown}; is it Redis ≥ 6.2 or Valkey ≥ 7.2?"
        ),
    )
}

/// The failure of a command whose connection broke.
pub(super) fn from_broken(address: &Address, broken: Broken) -> Failure {
    let error = match broken {
        Broken::Io(error) => from_io(address, error),
        Broken::Tls(error) => from_tls(address, error),
        Broken::LoggedOut => Error::unavailable(format!(
            "the server at {address} does not take the log-in of this connection any more; the function of credentials is asked for another"
        )),
        Broken::Garbage => garbage(address),
        Broken::Said(error) => from_server(&error),
    };
    Failure::unanswered(error)
}

/// The error of a socket.
pub(super) fn from_io(address: &Address, error: io::Error) -> Error {
    Error::unavailable(format!(
        "the server at {address} cannot be reached: {error}"
    ))
    .with_source(error)
}

/// The error of a server that did not answer in time.
pub(super) fn unanswered(address: &Address, limit: Duration) -> Failure {
    Failure::unanswered(Error::unavailable(format!(
        "the server at {address} did not answer within {:?}",
        rounded(limit)
    )))
}

/// A time as it is told to people.
pub(super) fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The failure of what was under way on a connection to the wrong server, which said so in these words.
pub(super) fn misled(address: &Address, words: &str) -> Failure {
    Failure::unanswered(Error::unavailable(format!(
        "the server at {address} is not the one to ask any more, and is looked up anew: {words}"
    )))
}

/// The failure of a connection that a server refused when it was made.
/// `words` are its own, without the password, which comes from where `origin` says.
pub(super) fn from_handshake(
    address: &Address,
    error: &ServerError,
    words: &str,
    origin: &str,
) -> Failure {
    let log_in = matches!(error.code(), "WRONGPASS" | "NOAUTH" | "NOPERM")
        || words.to_ascii_uppercase().contains("AUTH");
    if words.contains("SELECT is not allowed") {
        return Failure::unsent(Error::invalid(
            "a cluster has one database, 0; name no other in the URL",
        ));
    }
    if words.contains("DB index is out of range") {
        return Failure::unsent(Error::invalid(format!(
            "the server at {address} has not got the database that the URL names: {words}"
        )));
    }
    Failure::unsent(if log_in {
        Error::new(
            ErrorKind::StoreRefused,
            format!(
                "the server at {address} refused the log-in: {}; check the user and password {origin}",
                words.trim_end_matches('.')
            ),
        )
    } else {
        from_server(error)
    })
}

/// The error of bytes that are no replies.
fn garbage(address: &Address) -> Error {
    Error::new(
        ErrorKind::StoreRefused,
        format!(
            "what answers at {address} does not speak the Redis protocol, or not as a lock's server does"
        ),
    )
}
