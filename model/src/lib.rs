//! A model of leaselock's wire protocol 1.

pub mod checker;
mod client;
pub mod config;
mod ghost;
mod holding;
mod network;
pub mod properties;
mod server;
mod waiting;
mod wire;
pub mod world;

pub use client::Ask;
pub use config::{Bug, Config, Faults};
