//! The real core and the real Lua scripts of leaselock in a simulated world.
//!
//! [`server`] is a small Redis without sockets, threads or a clock, which answers as the real ones do.

pub mod server;
