//! Time and CPU time of this process.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC");
    u64::try_from(Duration::from(time).as_nanos()).expect("a time")
}

/// CPU seconds of this process so far.
pub fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::new(
            u64::try_from(time.tv_sec()).expect("seconds"),
            u32::try_from(time.tv_usec() * 1000).expect("nanoseconds"),
        )
        .as_secs_f64()
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Bytes that are allocated, with the allocator's own overhead; unlike the resident set it leaves out what was freed.
pub fn memory() -> u64 {
    // SAFETY: it only reads the allocator's counters, under its locks.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Measures one slice.
pub struct Slice {
    started: u64,
    cpu: f64,
    end: u64,
}

impl Slice {
    pub fn start(seconds: f64) -> Self {
        let cpu = cpu();
        let started = now();
        let length = u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).expect("a length");
        Self {
            started,
            cpu,
            end: started + length,
        }
    }

    pub fn goes_on(&self) -> bool {
        now() < self.end
    }

    pub fn result(&self, operations: u64) -> Value {
        let seconds = Duration::from_nanos(now() - self.started).as_secs_f64();
        json!({ "ops": operations, "seconds": seconds, "cpu": cpu() - self.cpu })
    }
}
