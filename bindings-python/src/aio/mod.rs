//! asyncio: operations that an event loop awaits, carried out by its own line or by the runtime.

pub(crate) mod bridge;
pub(crate) mod client;
pub(crate) mod group;
pub(crate) mod lease;
pub(crate) mod line;
pub(crate) mod locks;
pub(crate) mod operation;
pub(crate) mod request;
pub(crate) mod wake;
