//! What a server's or a connection's error means to a caller: come back later, or refused.

use redis::{ErrorKind as Kind, RedisError, ServerError, Value};

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

/// The error of a command that the server answered with an error.
pub(super) fn from_server(error: &ServerError) -> Error {
    let words = words_of(error);
    // A script reports the error of a command inside it behind its own prefix.
    let code = TEMPORARY
        .iter()
        .find(|code| error.code() == **code || words.contains(&format!("-{code} ")));
    if code.is_some() {
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
        "NOAUTH" | "WRONGPASS" => "check the user and password in the URL",
        "NOPERM" => "grant the rights listed in SECURITY.md",
        "OOM" => "the server is out of memory and evicts nothing; free some, or raise maxmemory",
        "MISCONF" => "the server cannot save its data; look at its log",
        "WRONGTYPE" => "the key of this lock holds something else; choose another name or app id",
        _ => "see the server's words",
    };
    Error::new(
        ErrorKind::StoreRefused,
        format!("the server refused: {words} ({advice})"),
    )
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

/// The failure of a command whose connection failed.
pub(super) fn from_connection(address: &str, error: RedisError) -> Failure {
    match error.kind() {
        Kind::AuthenticationFailed => Failure::answered(Error::new(
            ErrorKind::StoreRefused,
            format!(
                "the server at {address} refused the log-in: {}; check the user and password in the URL",
                words(&error)
            ),
        )),
        Kind::Parse | Kind::UnexpectedReturnType => Failure::unanswered(Error::new(
            ErrorKind::StoreRefused,
            format!(
                "what answers at {address} does not speak the Redis protocol: {}",
                words(&error)
            ),
        )),
        Kind::InvalidClientConfig => Failure::answered(Error::invalid(format!(
            "the URL cannot be used: {}",
            words(&error)
        ))),
        Kind::Server(_) | Kind::Extension => Failure::answered(server_error(&error).map_or_else(
            || {
                Error::new(
                    ErrorKind::StoreRefused,
                    format!("the server at {address} refused: {}", words(&error)),
                )
            },
            |error| from_server(&error),
        )),
        _ => Failure::unanswered(
            Error::unavailable(format!(
                "the server at {address} cannot be reached: {}",
                words(&error)
            ))
            .with_source(error),
        ),
    }
}

/// The error of bytes that are no replies.
pub(super) fn garbage(address: &str) -> Error {
    Error::new(
        ErrorKind::StoreRefused,
        format!(
            "what answers at {address} does not speak the Redis protocol, or not as a lock's server does"
        ),
    )
}

fn server_error(error: &RedisError) -> Option<ServerError> {
    error
        .clone()
        .into_server_errors()
        .and_then(|errors| errors.first().map(|(_, error)| error.clone()))
}

fn words(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.to_string(),
    }
}
