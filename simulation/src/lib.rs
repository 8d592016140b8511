//! The real core and the real Lua scripts of leaselock in a simulated world.
//!
//! [`server`] is a small Redis without sockets, threads or a clock, which answers as the real ones do. With the feature `worlds`,
//! `worlds` runs real clients against it, in one thread, on a clock that stands still while anybody has something to do. What happens,
//! and in which order, comes from one seed: who asks for which lock and how, what a message takes, whose task is next, and what goes
//! wrong. The same seed brings the same world to the last byte.
//!
//! ```sh
//! cd simulation
//! cargo run --release --features worlds -- --count 100000            # seeds 0 to 99,999, on two threads
//! cargo run --release --features worlds -- --seed 4711               # that one again; what breaks a rule is made small first
//! cargo run --release --features worlds -- --seed 4711 --whole       # and whole, step by step
//! cargo run --release --features worlds -- --from 1000000 --count 10000000 --enough 1
//! cargo test --features worlds                                       # 100,000 seeds of all kinds; SIMULATION_SCHEDULES=…: so many
//! ```
//!
//! The core is built for that with its feature `simulation`, which lets a thread have another clock, other randomness, another network
//! and a gate before each task (`core/src/environment.rs`); its logic is the one that ships. The clients' time-outs are those of tokio,
//! whose clock is paused: it goes on to the next timer when nobody has anything to do. So a world of half a minute takes a
//! millisecond. `make test ONLY=simulation` runs 100,000 of them, and as many as it takes to find each bug that is seeded.
//!
//! What must hold is looked at all the time, from both sides (`worlds/rules.rs`): what a client takes to be held the server has for
//! it; no two leases that exclude each other live at one time; tokens grow; a free name is taken soon by whoever waits, and by those
//! first who came first; an acquire ends within its wait; of several names all are had or none; what is over leaves nothing behind; a
//! loss is told. Where others end a lease (by force, with the server's data, by its clock) two may be held for a while, as the README
//! says, and the tokens still grow.

pub mod server;
#[cfg(feature = "worlds")]
pub mod worlds;
