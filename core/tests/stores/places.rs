//! The stores under test, and in what each may differ.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::common::{Binary, Server, fresh};
use super::vocabulary::Rules;

pub(super) enum Place {
    Server(Server),
    /// A fresh directory.
    File(PathBuf),
    /// A fresh name.
    Memory(String),
}

impl Place {
    pub(super) fn server(binary: &Binary) -> Self {
        Self::Server(Server::start(binary, &[]))
    }

    pub(super) fn file() -> Self {
        let folder = std::env::temp_dir().join(format!("leaselock-stores-{}", fresh()));
        std::fs::create_dir(&folder).expect("a directory");
        Self::File(folder)
    }

    pub(super) fn memory() -> Self {
        Self::Memory(fresh())
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Server(server) => &server.name,
            Self::File(_) => "file",
            Self::Memory(_) => "memory",
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::File(folder) => format!("file:{}", folder.join("locks.db").display()),
            Self::Memory(name) => format!("memory:{name}"),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        match self {
            Self::Server(_) => Rules::Server,
            Self::File(_) | Self::Memory(_) => Rules::Embedded,
        }
    }

    /// Waits until the store knows that this client has gone.
    pub(super) async fn notices(&self, client_id: &str) {
        let Self::Server(server) = self else {
            return;
        };
        let (channel, began) = (format!("lock||inbox||{client_id}"), Instant::now());
        let listens = || {
            let answer = server.run(&["PUBSUB", "NUMSUB", &channel]);
            let (_, count): (String, u64) = redis::from_redis_value(answer).expect("a count");
            count > 0
        };
        while listens() {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "its connection stays"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::File(folder) = self {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
