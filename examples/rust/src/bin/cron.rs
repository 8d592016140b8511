//! A job that timers start on several machines and that must not overlap with itself: who comes second skips it.
use std::{thread, time::Duration};

use leaselock::{Error, blocking::Client};

fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let Some(lease) = client
        .try_acquire("cleanup")
        .ttl(Duration::from_secs(10))
        .max_hold(Duration::from_secs(600)) // a run that hangs blocks the next ones for ten minutes at most
        .call()?
    else {
        println!("cleanup is running elsewhere, nothing to do");
        return client.close();
    };
    println!("cleaning up, token {}", lease.token());
    thread::sleep(Duration::from_secs(1)); // the work
    lease.release()?;
    client.close()
}
