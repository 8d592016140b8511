//! Where scenarios run: on each server, on servers that belong together, and on the stores that need none.
#![allow(dead_code)] // every test program uses its part of it

use std::path::PathBuf;

use crate::common::topology::{Cluster, Sentinels};
use crate::common::{Binary, Server, fresh};

/// A store under test; what it leaves behind goes with it.
pub(crate) enum Place {
    Server(Server),
    /// Each with its name.
    Sentinels(String, Sentinels),
    Cluster(String, Cluster),
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

    pub(crate) fn sentinels(binary: &Binary) -> Self {
        let sentinels = Sentinels::start(binary);
        sentinels.stay();
        Self::Sentinels(format!("sentinel-{}", binary.name), sentinels)
    }

    pub(crate) fn cluster(binary: &Binary) -> Self {
        let cluster = Cluster::start(binary);
        cluster.stay();
        Self::Cluster(format!("cluster-{}", binary.name), cluster)
    }

    /// The kind, as the file names it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Server(_) | Self::Sentinels(..) | Self::Cluster(..) => "redis",
            Self::File(_) => "file",
            Self::Memory(_) => "memory",
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Server(server) => &server.name,
            Self::Sentinels(name, _) | Self::Cluster(name, _) => name,
            embedded => embedded.kind(),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Sentinels(_, sentinels) => sentinels.url(),
            Self::Cluster(_, cluster) => cluster.url(),
            Self::File(directory) => {
                std::fs::create_dir_all(directory).expect("a directory");
                format!("file:{}", directory.join("locks.db").display())
            }
            Self::Memory(name) => format!("memory:{name}"),
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
