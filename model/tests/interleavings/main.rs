//! The two places of the core where threads meet in a way of its own, with all that they can do there, one order after the other:
//! loom has them run step by step, on atomics that also show late what another thread has written.
//!
//! These are the files of the core, whose parts come from `primitives`: there the standard library's, here loom's.

mod driving;
mod forking;
