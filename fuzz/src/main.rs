//! Tries inputs by number: `leaselock-fuzz [--count N] [--seed N] [target…]`.

use std::time::Instant;
use std::{env, fs, process};

use leaselock_fuzz::{Mutator, TARGETS, Target, corpus, shrunk, try_one};

fn main() {
    let (mut count, mut seed, mut names) = (100_000, 1, Vec::new());
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--count" => count = number(arguments.next()),
            "--seed" => seed = number(arguments.next()),
            name if TARGETS.iter().any(|target| target.name == name) => names.push(argument),
            other => {
                eprintln!("there is no {other:?}");
                process::exit(2);
            }
        }
    }
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| names.is_empty() || names.iter().any(|name| name == target.name))
        .collect();
    let shares: u64 = chosen.iter().map(|target| target.share).sum();
    let (mut total, mut bad) = (0, false);
    let began = Instant::now();
    for target in chosen {
        let since = Instant::now();
        let wanted = (count * target.share).div_ceil(shares);
        let inputs = corpus(target.name).expect("a corpus");
        let mut mutator = Mutator::new(inputs.clone(), seed);
        let (mut tried, mut runs) = (0, 0_u64);
        let mut whole = inputs.into_iter();
        while tried < wanted {
            let input = whole.next().unwrap_or_else(|| mutator.next_input());
            runs += 1;
            match try_one(target, &input) {
                Ok(done) => tried += done,
                Err(what) => {
                    let small = shrunk(target, &input);
                    let file = format!("{}-{runs}.bin", target.name);
                    let _ = fs::write(&file, &small);
                    println!(
                        "{}: {what}\n  by {:?}, in {file}",
                        target.name,
                        small.escape_ascii().to_string()
                    );
                    bad = true;
                    break;
                }
            }
        }
        total += tried;
        println!(
            "{}: {tried} in {runs} runs, {:.1} s",
            target.name,
            since.elapsed().as_secs_f64()
        );
    }
    println!(
        "{total} hostile inputs and replies in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    process::exit(i32::from(bad));
}

fn number(argument: Option<String>) -> u64 {
    argument
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| {
            eprintln!("a number is missing");
            process::exit(2);
        })
}
