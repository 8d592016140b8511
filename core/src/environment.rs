//! What the core has from the system: time, chance, and where its tasks run. With the feature `simulation` a thread can be given others,
//! which is the one place where that feature shows beside the socket's.

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
