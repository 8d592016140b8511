//! The scenario file on Sentinels and clusters.

use crate::common::binaries;
use crate::face::{AsyncFace, BlockingFace, Face};
use crate::place::Place;
use crate::play::run_on;

/// Where the async client runs all scenarios; elsewhere, and through the blocking one, run those for everywhere.
const WHOLE: &str = "sentinel-redis";

#[test]
fn scenarios_through_the_async_client() {
    run(&AsyncFace::new(), |place| place.name() == WHOLE);
}

#[test]
fn scenarios_through_the_blocking_client() {
    run(&BlockingFace, |_| false);
}

fn run(face: &dyn Face, whole: impl Fn(&Place) -> bool + Sync) {
    std::thread::scope(|threads| {
        for binary in binaries() {
            for start in [Place::sentinels, Place::cluster] {
                let (binary, whole) = (binary.clone(), &whole);
                threads.spawn(move || {
                    let place = start(&binary);
                    let whole = whole(&place);
                    run_on(&place, face, |scenario| whole || scenario.everywhere);
                });
            }
        }
    });
}
