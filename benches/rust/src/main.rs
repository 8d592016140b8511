//! The Rust contestants of the benchmarks: `bench-worker CONTESTANT URL OPTIONS` obeys one request a line on its standard
//! input, answers in lines of JSON, and ends with its input.

mod asynchronous;
mod bare;
mod blocking;
mod meter;
mod protocol;
mod renewals;

use std::error::Error;

use crate::asynchronous::{Leaselock, Rslock};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(contestant), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench-worker CONTESTANT URL [OPTIONS]".into());
    };
    let options = arguments.next().unwrap_or_else(|| "{}".to_owned());
    match contestant.as_str() {
        "bare" => bare::run(&url, serde_json::from_str(&options)?),
        "leaselock-blocking" => blocking::run(&url),
        "leaselock" => runtime(false)?.block_on(asynchronous::run(Leaselock::new(&url)?)),
        "leaselock-multi" => runtime(true)?.block_on(asynchronous::run(Leaselock::new(&url)?)),
        "rslock" => runtime(false)?.block_on(asynchronous::run(Rslock::new(&url)?)),
        "rslock-multi" => runtime(true)?.block_on(asynchronous::run(Rslock::new(&url)?)),
        other => Err(format!("there is no contestant named {other}").into()),
    }
}

/// One thread, or as many workers as the machine has cores.
fn runtime(multi: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if multi {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}
