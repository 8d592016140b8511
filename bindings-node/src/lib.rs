//! The Node addon: a thin layer of N-API classes over the core, for the TypeScript face in `src-ts` alone.
//!
//! Nothing here throws into JavaScript or returns a promise. An operation is *submitted* to the runtime's thread and
//! answered later through the `mailbox`, or from the event loop itself by way of a `line`; the face pairs the two by a number and makes promises and `Error`s of it.
#![allow(
    unsafe_code,
    reason = "the N-API macros expand to unsafe code; by hand it is written in `uv`, `libuv` and `system` alone"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "N-API hands arguments over by value"
)]

mod at_exit;
mod client;
mod command_line;
mod credentials;
mod failure;
mod group;
mod lease;
mod libuv;
mod line;
mod locks;
mod logs;
mod mailbox;
mod observe;
mod outcome;
mod reactor;
mod runtime;
mod system;
mod uv;
