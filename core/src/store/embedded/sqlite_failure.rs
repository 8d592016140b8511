//! What an error of SQLite or of the file system means to a caller: come back later, or refused.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use super::url::Location;
use crate::error::{Error, ErrorKind};
use crate::store::Failure;

/// Why a store could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Sqlite(rusqlite::Error),
    Refused(Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Whether the error says that another process has the database locked for the moment.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

pub(super) fn refused(message: String) -> Error {
    Error::new(ErrorKind::StoreRefused, message)
}

/// The failure of an operation that was rolled back, so that nothing is left to undo.
pub(super) fn from_sqlite(location: &Location, error: &rusqlite::Error) -> Failure {
    let address = location.address();
    let Some(code) = error.sqlite_error_code() else {
        return Failure::unsent(refused(format!(
            "the store {address} holds what no leaselock store does: {error}; \
             was it changed by another program? name another file"
        )));
    };
    let words = words(error);
    let message = match code {
        ErrorCode::NotADatabase => not_a_store(location, &words),
        ErrorCode::DatabaseCorrupt => format!(
            "the store {address} is damaged: {words}; stop the programs that use it and move the file away: \
             its leases are lost then, and tokens go on from the clock"
        ),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => format!(
            "the store {address} cannot be written: {words}; \
             the file and its directory must be writable for this user"
        ),
        ErrorCode::CannotOpen => format!(
            "the store {address} cannot be opened: {words}; \
             it needs a file, and a directory, that this user may read and write"
        ),
        ErrorCode::DiskFull => format!(
            "the store {address} has no room to write to: {words}; free some space. \
             Until then nothing can be taken, renewed or given back; what is held ends with its ttl"
        ),
        ErrorCode::SystemIoFailure => format!(
            "the store {address} cannot be read or written: {words}; see to the disk, \
             which must be a local one. What is held ends with its ttl"
        ),
        _ => format!("the store {address} failed: {words}"),
    };
    let error = refused(message);
    Failure::unsent(if code == ErrorCode::DiskFull {
        error.for_want_of_room()
    } else {
        error
    })
}

pub(super) fn not_a_store(location: &Location, words: &str) -> String {
    format!(
        "{} is not a leaselock store: {words}; name another file, or one that does not exist yet",
        location.address()
    )
}

/// The error of a file or directory that the file system refused.
pub(super) fn from_io(what: &str, path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "create its directory first",
        io::ErrorKind::PermissionDenied => {
            "this user may not; choose another place or change its mode"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
        io::ErrorKind::StorageFull => "free some space",
        _ => "choose another place",
    };
    refused(format!("{what} {}: {error}; {advice}", path.display()))
}

fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) => {
            format!("{message} (SQLite error {})", code.extended_code)
        }
        rusqlite::Error::SqliteFailure(code, None) => {
            format!("{code} (SQLite error {})", code.extended_code)
        }
        other => other.to_string(),
    }
}
