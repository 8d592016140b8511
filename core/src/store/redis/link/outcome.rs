//! What comes of connecting: told to all who wait for it.
//!
//! A `watch` channel wakes them in an order by chance. With the feature `simulation`, for which all chance comes from a seed, it is the order
//! in which they came.

#[cfg(feature = "simulation")]
#[path = "outcome/in_order.rs"]
mod here;
#[cfg(not(feature = "simulation"))]
#[path = "outcome/watched.rs"]
mod here;

pub(super) use self::here::Outcome;
