//! Sentinel and Cluster: real servers that fail over, move slots, and are cut off, with clients at work.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)] // another program checks the file
#[path = "../scenarios/driver.rs"]
mod driver;
#[path = "../scenarios/face.rs"]
mod face;
#[path = "../scenarios/file.rs"]
mod file;
#[path = "../scenarios/observations.rs"]
mod observations;
#[path = "../scenarios/place.rs"]
mod place;
#[path = "../scenarios/plain.rs"]
mod plain;
#[path = "../scenarios/play.rs"]
mod play;
#[path = "../scenarios/reports.rs"]
mod reports;

mod callers;
mod cluster;
mod cluster_changes;
mod cluster_edges;
mod connections;
mod moved_name;
mod rights;
mod scenarios;
mod sentinels;
mod starters;

/// The app id of every client here; each test has servers of its own.
const APP: &str = "topologies";
