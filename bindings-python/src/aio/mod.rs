//! asyncio: operations that the runtime's thread carries out and an event loop awaits.

pub(crate) mod bridge;
pub(crate) mod client;
pub(crate) mod lease;
pub(crate) mod locks;
pub(crate) mod operation;
pub(crate) mod request;
mod wake;
