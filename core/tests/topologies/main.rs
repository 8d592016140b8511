//! Sentinel and Cluster: real servers that fail over, move slots, and are cut off, with clients at work.

#[path = "../common/mod.rs"]
mod common;

mod callers;
mod cluster;
mod cluster_changes;
mod connections;
mod moved_name;
mod sentinels;
mod starters;

/// The app id of every client here; each test has servers of its own.
const APP: &str = "topologies";
