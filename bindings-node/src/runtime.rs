//! The one tokio runtime of the process: a single thread that all Node threads share.
//!
//! It is nobody's child: when a worker is terminated its leases are given back here, after its own loop is gone.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::at_exit;

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime's handle; starts its thread at the first call.
pub(crate) fn handle() -> std::io::Result<Handle> {
    let mut slot = RUNTIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = &*slot {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        // Threads that connect are seldom needed: none stays for long.
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("leaselock".to_owned())
        .spawn(move || runtime.block_on(at_exit::close_all_when_asked()))?;
    *slot = Some(handle.clone());
    Ok(handle)
}
