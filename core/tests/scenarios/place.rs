//! Where scenarios run: on each server, and on the stores that need none.

use std::path::PathBuf;

use crate::common::{Server, fresh};

/// A store under test; what it leaves behind goes with it.
pub(crate) enum Place {
    Server(Server),
    File(PathBuf),
    Memory(String),
}

impl Place {
    /// Every server.
    pub(crate) fn servers() -> impl Iterator<Item = Self> {
        Server::each(&[]).map(Self::Server)
    }

    /// Every kind of store.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let directory = std::env::temp_dir().join(format!("leaselock-scenarios-{}", fresh()));
        let embedded = [Self::File(directory), Self::Memory(fresh())];
        embedded.into_iter().chain(Self::servers())
    }

    /// The kind, as the file names it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Server(_) => "redis",
            Self::File(_) => "file",
            Self::Memory(_) => "memory",
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Server(server) => &server.name,
            embedded => embedded.kind(),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::File(directory) => {
                std::fs::create_dir_all(directory).expect("a directory");
                format!("file:{}", directory.join("locks.db").display())
            }
            Self::Memory(name) => format!("memory:{name}"),
        }
    }

    /// The server, for a plain connection.
    pub(crate) fn server(&self) -> Option<&Server> {
        match self {
            Self::Server(server) => Some(server),
            _ => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::File(directory) = self {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
