//! What the core has from the system: time, chance, and where its tasks run. With the feature `simulation` a thread can be given others.
//! Beside this the feature shows at the socket, and where it is told what comes of connecting (`link/outcome.rs`).

#[cfg(feature = "simulation")]
#[path = "environment/simulated.rs"]
mod here;
#[cfg(not(feature = "simulation"))]
#[path = "environment/system.rs"]
mod here;

pub(crate) use self::here::{Hashing, fill, since_boot, task};

#[cfg(feature = "simulation")]
pub(crate) use self::here::simulated_stream;
#[cfg(feature = "simulation")]
pub use self::here::{Entered, Environment, Gate, Stream, enter};
