//! Runs inputs one after the other, and finds what goes wrong also where a task or a thread swallows it.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use crate::Target;

/// An input takes a few milliseconds at most; this is what a busy machine may make of that.
const LONGEST: Duration = Duration::from_secs(30);

static FOUND: Mutex<Option<String>> = Mutex::new(None);
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static TRIED: AtomicU64 = AtomicU64::new(0);

/// Feeds a target with an input; how many inputs or hostile replies that was.
///
/// # Errors
/// What panicked, wherever it did.
pub fn try_one(target: &Target, input: &[u8]) -> Result<u64, String> {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            found.get_or_insert_with(|| panic.to_string());
        }));
        thread::spawn(watch);
    });
    let mut held = INPUT.lock().unwrap_or_else(PoisonError::into_inner);
    held.clear();
    held.extend_from_slice(input);
    drop(held);
    let run = panic::catch_unwind(|| (target.run)(input));
    TRIED.fetch_add(1, Ordering::Relaxed);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    match (found.take(), run) {
        (None, Ok(count)) => Ok(count),
        (Some(what), _) => Err(what),
        (None, Err(_)) => Err("a panic without words".to_owned()),
    }
}

/// The smallest input that can be had from this one by leaving bytes out and still goes wrong.
#[must_use]
pub fn shrunk(target: &Target, input: &[u8]) -> Vec<u8> {
    let mut best = input.to_vec();
    let begun = Instant::now();
    let mut size = best.len().div_ceil(2);
    while size > 0 && begun.elapsed() < LONGEST {
        let mut at = 0;
        let mut is_smaller = false;
        while at < best.len() {
            let mut less = best.clone();
            less.drain(at..(at + size).min(less.len()));
            if try_one(target, &less).is_err() {
                (best, is_smaller) = (less, true);
            } else {
                at += size;
            }
        }
        if !is_smaller {
            size /= 2;
        }
    }
    best
}

/// Ends the program at an input that does not end.
fn watch() {
    let mut last = (u64::MAX, Instant::now());
    loop {
        thread::sleep(Duration::from_secs(1));
        let tried = TRIED.load(Ordering::Relaxed);
        if tried != last.0 {
            last = (tried, Instant::now());
        } else if last.1.elapsed() > LONGEST {
            let held = INPUT.lock().unwrap_or_else(PoisonError::into_inner);
            if held.is_empty() {
                continue;
            }
            let _ = fs::write("hang.bin", &*held);
            eprintln!(
                "an input takes more than {LONGEST:?}: {:?}",
                String::from_utf8_lossy(&held)
            );
            process::exit(3);
        }
    }
}
