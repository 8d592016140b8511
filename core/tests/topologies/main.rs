//! Sentinel and Cluster: real servers that fail over, move slots, and are cut off, with clients at work.

#[path = "../common/mod.rs"]
mod common;

mod connections;
mod starters;
