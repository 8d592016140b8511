//! The URLs `file:path.db` and `memory:NAME`.

use std::path::PathBuf;

use super::system::path_of_url;
use crate::error::{Error, Result};

/// Where an embedded store is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Location {
    /// In a file, for every process of this machine.
    File(PathBuf),
    /// In the memory of this process, under a name.
    Memory(String),
}

impl Location {
    /// For messages.
    pub(super) fn address(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Memory(name) => format!("memory:{name}"),
        }
    }

    /// Reads a URL of either scheme. A relative path is one from the directory of now.
    pub(super) fn parse(url: &str) -> Result<Self> {
        match url.split_once(':') {
            Some(("memory", "")) => Err(Error::invalid(
                "the URL \"memory:\" has no name; write memory:NAME, such as memory:tests: \
                 clients of one process that give the same name share the locks",
            )),
            Some(("memory", name)) => Ok(Self::Memory(name.to_owned())),
            Some((_, rest)) => file(rest).map(Self::File),
            None => Err(Error::invalid("a URL begins with its scheme and a colon")),
        }
    }
}

fn file(rest: &str) -> Result<PathBuf> {
    let path = match rest.strip_prefix("//") {
        None => PathBuf::from(rest),
        Some(after) => {
            let (host, _) = after.split_once('/').ok_or_else(no_path)?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(Error::invalid(format!(
                    "the URL names the host {host:?}, and a file: store is for one machine; write file:path.db, \
                     file:/absolute/path.db or file:///absolute/path.db"
                )));
            }
            path_of_url(percent_decoded(&after[host.len()..])?).ok_or_else(|| {
                Error::invalid("the path of the file: URL is not UTF-8; no file of this system can be called so")
            })?
        }
    };
    if path.file_name().is_none() || rest.ends_with('/') {
        return Err(no_path());
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::invalid(
            "the path of the file: URL contains a NUL character; no file can be called so",
        ));
    }
    std::path::absolute(&path).map_err(|error| {
        Error::invalid(format!(
            "the path {} cannot be made absolute: {error}; write file:/absolute/path.db",
            path.display()
        ))
    })
}

fn no_path() -> Error {
    Error::invalid(
        "the file: URL names no file; write file:path.db, file:/absolute/path.db or file:///absolute/path.db",
    )
}

/// The bytes that `text` stands for: `%20` is a space.
fn percent_decoded(text: &str) -> Result<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
        let value = value.and_then(|value| u8::try_from(value).ok());
        decoded.push(value.ok_or_else(|| {
            Error::invalid(
                "the file:// URL has a '%' that two hex digits do not follow; write %25 for a percent sign, \
                 or file:path.db, whose path is taken as it is",
            )
        })?);
    }
    Ok(decoded)
}
