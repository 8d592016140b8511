//! The store without a server: `file:` among processes, `memory:` within one.

mod cancelling;
mod children;
mod costs;
mod crashes;
mod damaged;
mod files;
mod forks;
mod full_disk;
mod hooks;
mod memory;
mod places;
mod refusals;
mod time_namespaces;
mod tokens;
mod told;
mod turns;
mod urls;
mod waits;
