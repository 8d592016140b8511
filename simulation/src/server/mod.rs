//! A small Redis: bytes in, bytes out, and nothing else.
//!
//! [`Server`] has no sockets, no threads and no clock. It is told what clients send and what its wall clock shows, and it says
//! what it sends to whom. The same calls always bring the same bytes. It knows the commands that the core and its scripts use,
//! and answers as Redis 7.0 or as Valkey 9 does, to the byte: `tests/differential` compares them. What is not known is answered as
//! an unknown command is, never in another way.
//!
//! ```
//! use leaselock_simulation::server::{Config, Server};
//!
//! let mut server = Server::new(Config::default());
//! let client = server.connect();
//! server.feed(client, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", 1_700_000_000_000_000);
//! assert_eq!(server.output(client), b"+OK\r\n");
//! ```
//!
//! The scripts run in Lua 5.1, one interpreter for all servers of a thread, which keeps what it has compiled. So a server costs a
//! few allocations.
//!
//! What is left out: persistence and replication (a [`Snapshot`] stands for both), users but the default one, clusters, eviction,
//! and in Lua `cjson`, `cmsgpack`, `struct`, `bit` and `redis.setresp`.

mod commands;
mod condition;
mod config;
mod connection;
mod dispatch;
mod glob;
mod inspection;
mod instance;
mod keyspace;
mod lua;
mod modified;
mod numbers;
mod outgoing;
mod reply;
mod requests;
mod snapshot;
mod sorted_set;
mod subscriptions;
mod table;
mod timers;
mod transaction;
mod waiting;
mod words;

pub use self::condition::{Condition, Pause, Role};
pub use self::config::{Config, Flavour};
pub use self::connection::ConnId;
pub use self::instance::{Micros, Server};
pub use self::snapshot::Snapshot;
