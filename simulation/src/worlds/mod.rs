//! Worlds made from seeds: real clients in processes of their own, the small server, and a network between them that fails.

mod beginnings;
mod chance;
mod checker;
mod clients;
mod faults;
mod groups;
mod network;
mod order;
mod plan;
mod planner;
mod process;
mod record;
mod rules;
mod run;
mod scripts;
mod search;
mod shrink;
mod taken;
mod world;

pub use plan::{Acquire, Act, Delays, Fault, Item, Kind, Millis, Plan, What};
pub use record::Violation;
pub use rules::{
    ALL_OR_NONE, CLOSES, HELD_IS_HELD, IN_LINE, LEARNS, LOSS_TOLD, LOST_TOGETHER, NOTHING_LEFT,
    ONE_LEASE, TAKEN_SOON, TOKENS_GROW, TURN_COMES, WAIT_ENDS,
};
pub use run::{Bug, Outcome, Setting, run};
pub use search::{Found, explain, search};
pub use shrink::shrink;
