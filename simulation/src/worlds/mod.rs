//! Worlds made from seeds: real clients in processes of their own, the small server, and a network between them that fails.

mod chance;
mod checker;
mod clients;
mod faults;
mod network;
mod plan;
mod record;
mod run;
mod scripts;
mod search;
mod shrink;
mod world;

pub use checker::{
    CLOSES, HELD_IS_HELD, LEARNS, LOSS_TOLD, NOTHING_LEFT, ONE_LEASE, TAKEN_SOON, TOKENS_GROW,
    TURN_COMES, WAIT_ENDS,
};
pub use plan::{Acquire, Act, Delays, Fault, Item, Kind, Millis, Plan, What};
pub use record::Violation;
pub use run::{Bug, Outcome, Setting, run};
pub use search::{Found, explain, search};
pub use shrink::shrink;
