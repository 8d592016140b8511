//! The program `leaselock`.

use std::process::exit;

fn main() {
    exit(leaselock_cli::run(std::env::args_os()));
}
