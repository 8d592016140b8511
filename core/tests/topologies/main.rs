//! Sentinel and Cluster: real servers that fail over, move slots, and are cut off, with clients at work.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod cluster_changes;
mod connections;
mod starters;
