//! The short form: the corpus, and what is made of it. `FUZZ_COUNT` says how many inputs and hostile replies there are in all.

use leaselock_fuzz::{Mutator, TARGETS, corpus, shrunk, try_one};

const COUNT: u64 = 100_000;

#[test]
fn hostile_inputs_and_replies_end_in_results_or_errors() {
    let count = std::env::var("FUZZ_COUNT").map_or(COUNT, |count| count.parse().expect("a number"));
    for target in TARGETS {
        let inputs = corpus(target.name).expect("a corpus");
        let mut mutator = Mutator::new(inputs.clone(), 1);
        let mut whole = inputs.into_iter();
        let (mut tried, wanted) = (0, count * target.share / 100);
        loop {
            // All of the corpus first, however many that is.
            let input = match whole.next() {
                Some(input) => input,
                None if tried >= wanted => break,
                None => mutator.next_input(),
            };
            match try_one(target, &input) {
                Ok(done) => tried += done,
                Err(what) => {
                    let small = shrunk(target, &input).escape_ascii().to_string();
                    eprintln!("{}: {what}\n  by {small:?}", target.name);
                    std::process::exit(1);
                }
            }
        }
        println!("{}: {tried}", target.name);
    }
}
